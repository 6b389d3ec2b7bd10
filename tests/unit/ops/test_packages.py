"""Installing missing programs leaves nothing else changed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ops.services.packages import SCRIPT, is_debian, root_prefix

POLICY = "usr/sbin/policy-rc.d"
CLUSTERS = "etc/postgresql-common/createcluster.d"
APT = """#!/bin/sh
echo "$@" >>"$DESTDIR/apt-calls"
cat "$DESTDIR/usr/sbin/policy-rc.d" >"$DESTDIR/policy-seen"
cat "$DESTDIR"/etc/postgresql-common/createcluster.d/* >"$DESTDIR/clusters-seen"
case "$*" in *install*) exit "${APT_CODE:-0}";; *update*) exit 100;; esac
"""

needs_flock = pytest.mark.skipif(shutil.which("flock") is None, reason="the script is for Debian, which has flock")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    apt = tmp_path / "bin/apt-get"
    apt.write_text(APT)
    apt.chmod(0o755)
    return tmp_path


def install(root: Path, apt_code: int = 0) -> int:
    environment = {"DESTDIR": str(root), "PATH": f"{root / 'bin'}:/usr/bin:/bin", "APT_CODE": str(apt_code)}
    script = ["/bin/sh", str(SCRIPT), "postgresql"]
    return subprocess.run(script, env=environment, capture_output=True, check=False, timeout=20).returncode


@needs_flock
def test_while_apt_works_no_service_may_start_and_no_cluster_is_made(root: Path) -> None:
    assert install(root) == 0

    assert "exit 101" in (root / "policy-seen").read_text()
    assert (root / "clusters-seen").read_text() == "create_main_cluster = false\n"
    assert "--no-install-recommends install postgresql" in (root / "apt-calls").read_text()


@needs_flock
@pytest.mark.parametrize("apt_code", [0, 100])
def test_afterwards_everything_is_as_before_whether_apt_succeeds_or_fails(root: Path, apt_code: int) -> None:
    assert install(root, apt_code) == apt_code

    assert not (root / POLICY).exists()
    assert not (root / CLUSTERS).exists()


@needs_flock
def test_a_policy_and_settings_that_were_there_before_are_there_again(root: Path) -> None:
    (root / POLICY).write_text("#!/bin/sh\nexit 0\n")
    (root / POLICY).chmod(0o700)
    (root / CLUSTERS).mkdir(parents=True)
    (root / CLUSTERS / "theirs.conf").write_text("start_conf = manual\n")

    install(root)

    assert (root / POLICY).read_text() == "#!/bin/sh\nexit 0\n"
    assert (root / POLICY).stat().st_mode & 0o777 == 0o700
    assert [file.name for file in (root / CLUSTERS).iterdir()] == ["theirs.conf"]


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="without apt no system counts as Debian")
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("ID=debian\n", True),
        ("ID=ubuntu\nID_LIKE=debian\n", True),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', True),
        ('ID="rhel"\nID_LIKE="fedora"\n', False),
        ("", False),
    ],
)
def test_debian_and_what_descends_from_it_is_recognised(tmp_path: Path, content: str, *, expected: bool) -> None:
    os_release = tmp_path / "os-release"
    os_release.write_text(content)

    assert is_debian(os_release) is expected


def test_a_system_that_does_not_say_what_it_is_is_not_debian(tmp_path: Path) -> None:
    assert not is_debian(tmp_path / "missing")


@pytest.mark.parametrize(("code", "allowed"), [(0, True), (1, False)])
def test_sudo_counts_only_when_it_asks_for_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, allowed: bool
) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text(f'#!/bin/sh\ntest "$*" = "-n true" && exit {code}\nexit 2\n')
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert root_prefix() == ([str(sudo), "-n"] if allowed else None)


def test_root_needs_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)

    assert root_prefix() == []
