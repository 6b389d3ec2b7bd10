#!/bin/sh
# Installs the packages named as arguments (Debian and Ubuntu, as root) without starting
# a system service and without creating a system database cluster.
# What it changes for that is put back when it ends, however it ends.
set -eu

root=${DESTDIR:-}
policy=$root/usr/sbin/policy-rc.d
clusters=$root/etc/postgresql-common/createcluster.d
no_cluster=$clusters/mt5-worker-install.conf

# Two installations at the same time would save and restore each other's policy: one waits for the other.
exec 9<"$root/usr/sbin"
flock 9

kept=$(mktemp -d)
made_clusters=
[ -d "$clusters" ] || made_clusters=yes

restore() {
    rm -f "$no_cluster"
    if [ -n "$made_clusters" ]; then rmdir "$clusters" 2>/dev/null || true; fi
    if [ -e "$kept/policy-rc.d" ]; then mv -f "$kept/policy-rc.d" "$policy"; else rm -f "$policy"; fi
    rm -rf "$kept"
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ -e "$policy" ]; then cp -p "$policy" "$kept/policy-rc.d"; fi
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
mkdir -p "$clusters"
echo 'create_main_cluster = false' >"$no_cluster"

export DEBIAN_FRONTEND=noninteractive
# A package source that is out of reach need not matter: what counts is whether the packages install.
apt-get -o DPkg::Lock::Timeout=300 -q update 9<&- || true
apt-get -o DPkg::Lock::Timeout=300 -q -y --no-install-recommends install "$@" 9<&-
