"""The alert rules: valid, tested one by one, about metrics that exist, and each with a page that says what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ops.services import ServicesUnavailable
from tests.fixtures import prometheus
from tests.fixtures.prometheus import RULES, hurried, need_programs
from worker.cli.app import app

FOLDER = RULES.parent
ROOT = Path(__file__).parents[3]
STORIES = ROOT / "tests" / "acceptance"
SEVERITIES = {"page", "ticket", "info"}
ANNOTATIONS = {"summary", "meaning", "action", "runbook"}
_ALERT = re.compile(r"(?m)^ +- alert: (\w+)$")


def alerts() -> dict[str, str]:
    """Return the text of each alert by its name."""
    _, *parts = _ALERT.split(RULES.read_text())
    return dict(zip(parts[::2], parts[1::2], strict=True))


def said_by(text: str) -> dict[str, str]:
    """Return what an alert says."""
    return dict(re.findall(r"(?m)^ {10}(\w+): (.+)$", text))


def _promtool(*arguments: str, folder: Path = FOLDER) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.usefixtures("prometheus_programs")
class TestPromtool:
    """What Prometheus' own tool says."""

    @pytest.mark.parametrize("command", [("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml")])
    def test_the_files_are_valid(self, command: tuple[str, ...]) -> None:
        assert "SUCCESS" in _promtool(*command)

    def test_each_alert_fires_when_it_should_and_only_then(self) -> None:
        assert "SUCCESS" in _promtool("test", "rules", "alerts_test.yml")

    def test_the_rules_are_as_valid_when_time_runs_faster(self, tmp_path: Path) -> None:
        (tmp_path / "rules.yml").write_text(hurried(RULES.read_text(), 60))

        assert "SUCCESS" in _promtool("check", "rules", "rules.yml", folder=tmp_path)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = (FOLDER / "alerts_test.yml").read_text()

    for alert in alerts():
        silent = re.search(rf"alertname: {alert}\n +exp_alerts: \[\]", tests)
        fires = re.search(rf"alertname: {alert}\n +exp_alerts:\n", tests)
        assert silent is not None, f"{alert} is nowhere seen to keep silent"
        assert fires is not None, f"{alert} is nowhere seen to fire"


def test_every_alert_has_a_story_in_which_a_real_worker_makes_it_fire() -> None:
    stories = "".join(file.read_text() for file in sorted(STORIES.glob("test_alerts*.py")))

    assert {alert for alert in alerts() if f'"{alert}"' not in stories} == set()


@pytest.mark.parametrize("alert", sorted(alerts()))
def test_an_alert_says_what_it_means_and_what_to_do(alert: str) -> None:
    text = alerts()[alert]
    severity = re.search(r"(?m)^ +severity: (\w+)$", text)
    said = said_by(text)

    assert severity is not None
    assert severity[1] in SEVERITIES
    assert said.keys() >= ANNOTATIONS
    assert alert in (ROOT / said["runbook"]).read_text(), f"{said['runbook']} says nothing about {alert}"


def test_the_first_command_of_every_alert_exists() -> None:
    commands = {said_by(text)["action"].strip("'").split(" --reason")[0] for text in alerts().values()}
    ours = [command.split()[1:] for command in sorted(commands) if command.startswith("mt5-worker ")]

    assert ours
    for arguments in ours:
        assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0, arguments


class TestHurriedTime:
    """The tests that cause an alert's condition wait less than the people who get it."""

    @given(st.integers(1, 600), st.sampled_from([1, 2, 5, 60]))
    def test_everything_that_lasts_is_shortened_and_nothing_else(self, minutes: int, times: int) -> None:
        rules = (
            f"expr: increase(restarts_total[{minutes}m] offset {minutes}m) >= {minutes}\n"
            f"expr: max by (account) (mt5_worker_outbox_age_seconds) > {minutes * 60}\n"
            f"expr: mt5_worker_loop_lag_seconds > {minutes}\n"
            f"for: {minutes}m\n"
        )
        duration = f"{minutes * 60_000 / times:.0f}ms"

        assert hurried(rules, times).splitlines() == [
            f"expr: increase(restarts_total[{duration}] offset {duration}) >= {minutes}",
            f"expr: max by (account) (mt5_worker_outbox_age_seconds) > {minutes * 60 / times:.3f}",
            f"expr: mt5_worker_loop_lag_seconds > {minutes}",
            f"for: {duration}",
        ]


class TestMissingPrograms:
    """Where Prometheus is not installed."""

    @pytest.fixture(autouse=True)
    def missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "which", lambda _program: None)
        monkeypatch.delenv("CI", raising=False)

    def test_a_person_is_told_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_INSTALL", "1")

        with pytest.raises(pytest.skip.Exception, match="install the package prometheus"):
            need_programs()

    def test_nothing_is_skipped_where_nobody_reads_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_INSTALL", "1")
        monkeypatch.setenv("CI", "true")

        with pytest.raises(pytest.fail.Exception, match="install the package prometheus"):
            need_programs()

    def test_they_are_installed_where_that_may_be_done(self, monkeypatch: pytest.MonkeyPatch) -> None:
        installed: list[str] = []

        def install(packages: list[str], _say: object) -> None:
            installed.extend(packages)
            monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")

        monkeypatch.setattr(prometheus, "can_install", lambda: True)
        monkeypatch.setattr(prometheus, "install", install)

        need_programs()

        assert installed == ["prometheus"]

    def test_an_installation_that_fails_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def install(_packages: list[str], _say: object) -> None:
            raise ServicesUnavailable("apt could not install prometheus")

        monkeypatch.setattr(prometheus, "can_install", lambda: True)
        monkeypatch.setattr(prometheus, "install", install)

        with pytest.raises(pytest.skip.Exception, match="apt could not install prometheus"):
            need_programs()
