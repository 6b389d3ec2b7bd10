"""What doctor makes of what it sees."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from worker.cli.app import app
from worker.cli.doctor import command, postgres, rabbit, terminal
from worker.cli.doctor.finding import Finding, Verdict, unusable
from worker.domain.errors import LedgerUnavailable, WrongSetting
from worker.domain.execution import Venue
from worker.domain.market import Health
from worker.ledger.inspection import ServerFacts
from worker.mt5.wire import VenueFacts
from worker.settings import Settings

SOUND = ServerFacts(
    version_number=150_004,
    version="15.4",
    fsync=True,
    full_page_writes=True,
    synchronous_standbys="",
    read_only=False,
    standbys=0,
    synchronous_commit="on",
    user_name="mt5",
    clock_ahead=timedelta(milliseconds=3),
    clock_error=timedelta(milliseconds=1),
)
OPEN = VenueFacts(Venue("native", "Broker-Demo", 7, "demo"), "hedging", "500 5000", clock_offset_known=True)
HEALTHY = Health(
    connected=True,
    trade_allowed=True,
    login=7,
    server="Broker-Demo",
    venue_mode="demo",
    account_mode="hedging",
    margin_free=Decimal(1000),
)


def _verdicts(**changes: Any) -> dict[str, Verdict]:
    return {finding.check: finding.verdict for finding in postgres._server(replace(SOUND, **changes))}


class TestPostgres:
    def test_a_sound_server(self) -> None:
        assert set(_verdicts().values()) == {Verdict.OK}

    @pytest.mark.parametrize(
        ("changes", "check", "verdict"),
        [
            ({"version_number": 130_012}, "PostgreSQL", Verdict.FAIL),
            ({"read_only": True}, "PostgreSQL role", Verdict.FAIL),
            ({"fsync": False}, "PostgreSQL durability", Verdict.FAIL),
            ({"full_page_writes": False}, "PostgreSQL durability", Verdict.FAIL),
            ({"standbys": 1}, "PostgreSQL standbys", Verdict.WARN),
            ({"standbys": 1, "synchronous_standbys": "ANY 1 (*)"}, "PostgreSQL standbys", Verdict.OK),
        ],
    )
    def test_what_breaks_the_promise(self, changes: dict[str, Any], check: str, verdict: Verdict) -> None:
        assert _verdicts(**changes)[check] is verdict

    @pytest.mark.parametrize(
        ("seconds", "verdict"),
        [(0.9, Verdict.OK), (-0.9, Verdict.OK), (1.1, Verdict.WARN), (-4.9, Verdict.WARN), (5.1, Verdict.FAIL)],
    )
    def test_clocks_apart(self, seconds: float, verdict: Verdict) -> None:
        finding = postgres._clock(replace(SOUND, clock_ahead=timedelta(seconds=seconds)))

        assert finding.verdict is verdict
        assert bool(finding.todo) == (verdict is not Verdict.OK)

    def test_missing_rights_are_listed_with_the_cure(self) -> None:
        finding = postgres._rights("mt5", ["insert on ledger.deals"])

        assert finding.verdict is Verdict.FAIL
        assert "insert on ledger.deals" in finding.detail
        assert finding.todo == "grant mt5_worker to mt5"


class TestTerminal:
    def test_a_terminal_that_can_trade(self) -> None:
        assert {finding.verdict for finding in terminal._opened(OPEN, HEALTHY)} == {Verdict.OK}

    def test_one_that_cannot_says_why(self) -> None:
        problem = "algorithmic trading is switched off"

        findings = {one.check: one for one in terminal._opened(OPEN, replace(HEALTHY, problem=problem))}

        assert findings["terminal trading"].verdict is Verdict.FAIL
        assert findings["terminal trading"].detail == problem

    def test_a_clock_that_is_not_known_yet(self) -> None:
        findings = {one.check: one for one in terminal._opened(replace(OPEN, clock_offset_known=False), HEALTHY)}

        assert findings["terminal clock"].verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("version", "good"), [("3.10.8", True), ("4.1.0-rc.1", True), ("3.9.29", False), ("unknown", False)]
)
def test_versions_of_rabbitmq(version: str, *, good: bool) -> None:
    assert (rabbit._numbers(version) >= rabbit.OLDEST_VERSION) is good


def test_a_service_out_of_reach_is_worse_than_a_wrong_setting() -> None:
    assert unusable("x", LedgerUnavailable("silent"), "start it").verdict is Verdict.OUT_OF_REACH
    assert unusable("x", WrongSetting("wrong"), "correct it").verdict is Verdict.FAIL


class TestCommand:
    """The worst finding decides the exit code."""

    @pytest.fixture
    def found(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Verdict], None]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("worker.cli.parts.configure_logging", lambda *_: None)

        def will_find(verdict: Verdict) -> None:
            async def part(_settings: Settings) -> AsyncIterator[Finding]:
                yield Finding("PostgreSQL", verdict, "so it is", "do this" if verdict is not Verdict.OK else "")

            for name in ("postgres", "rabbit", "terminal"):
                monkeypatch.setattr(command, name, part)

        return will_find

    @pytest.mark.parametrize(
        ("verdict", "code"), [(Verdict.OK, 0), (Verdict.WARN, 0), (Verdict.FAIL, 1), (Verdict.OUT_OF_REACH, 3)]
    )
    def test_exit_codes(self, found: Callable[[Verdict], None], verdict: Verdict, code: int) -> None:
        found(verdict)

        done = CliRunner().invoke(app, ["doctor"])

        assert done.exit_code == code
        assert "so it is" in done.stdout
        assert ("-> do this" in done.stdout) == (verdict is not Verdict.OK)

    def test_json(self, found: Callable[[Verdict], None]) -> None:
        found(Verdict.FAIL)

        done = CliRunner().invoke(app, ["doctor", "--json"])

        assert [one["verdict"] for one in json.loads(done.stdout)] == ["ok", "fail", "fail", "fail"]
        assert done.exit_code == 1

    @pytest.mark.parametrize("arguments", [("--symbol", "EURUSD"), ("--live-account-really",)])
    def test_options_of_a_canary_without_one(self, arguments: tuple[str, ...]) -> None:
        done = CliRunner().invoke(app, ["doctor", *arguments])

        assert done.exit_code == 2
        assert "--broker" in done.output
