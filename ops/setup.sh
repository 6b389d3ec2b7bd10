#!/bin/sh
# Makes .venv/ with the locked dependencies and the project itself; called by `make setup`.
# Uses pip as this machine has it configured.
set -eu
cd "$(dirname "$0")/.."

suits='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
ready=.venv/.ready

find_python() {
    for name in python3 python3.13 python3.12 python3.11; do
        if "$name" -c "$suits" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    echo "Python 3.11 or newer with its venv module is needed, and no python3 found here is one." >&2
    echo "Install it (Debian, Ubuntu: apt-get install python3 python3-venv), then try again." >&2
    exit 1
}

is_current() {
    [ -e "$ready" ] && [ -z "$(find pyproject.toml requirements.lock ops/setup.sh -newer "$ready")" ]
}

# `make demo` and `make test` started side by side share one .venv: the second waits for the first.
if command -v flock >/dev/null; then
    exec 9<pyproject.toml
    flock 9
fi
if is_current; then exit 0; fi

if ! .venv/bin/python -c "$suits" >/dev/null 2>&1; then
    python=$(find_python)
    echo "Making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi
echo "Installing the locked dependencies"
.venv/bin/python -m pip install --quiet --require-hashes -r requirements.lock
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
touch "$ready"
echo "Ready: .venv/bin/mt5-worker"
