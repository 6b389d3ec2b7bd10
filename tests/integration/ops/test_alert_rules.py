"""The alert rules: valid, tested one by one, about metrics that exist, and each with a page that says what to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.prometheus import RULES, hurried

FOLDER = RULES.parent
SEVERITIES = {"page", "ticket", "info"}
ANNOTATIONS = {"summary", "meaning", "action", "runbook"}
_ALERT = re.compile(r"(?m)^ +- alert: (\w+)$")


def alerts() -> dict[str, str]:
    """Return the text of each alert by its name."""
    _, *parts = _ALERT.split(RULES.read_text())
    return dict(zip(parts[::2], parts[1::2], strict=True))


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


@pytest.mark.parametrize("alert", sorted(alerts()))
def test_an_alert_says_what_it_means_and_what_to_do(alert: str) -> None:
    text = alerts()[alert]
    severity = re.search(r"(?m)^ +severity: (\w+)$", text)
    said = dict(re.findall(r"(?m)^ {10}(\w+): (.+)$", text))

    assert severity is not None
    assert severity[1] in SEVERITIES
    assert said.keys() >= ANNOTATIONS


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
