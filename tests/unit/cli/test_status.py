"""How an account stands, in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from worker.cli import show
from worker.cli.glance import Picture, screen, told
from worker.domain.halts import Halt, Halts
from worker.ledger.status import MOST_COUNTED, AccountStatus, UnresolvedLine
from worker.messaging.inspection import QueueDepth

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
QUEUES = [
    QueueDepth("trades.approved.main", 0, 1),
    QueueDepth("trades.approved.other", 7, 1),
    QueueDepth("trades.dead", 0, 1),
    QueueDepth("trades.parked", 0, 0),
]
UNRESOLVED = UnresolvedLine(UUID(int=1), "RPM-7", "EURUSD", "look for magic 8", None)
HOSTILE = "\x1b[2J[red]\u202e" + "w" * 3000


def _account(**changes: Any) -> AccountStatus:
    quiet: dict[str, Any] = {
        "account": "main",
        "at": NOW,
        "backend": "simulated",
        "server": "Simulated-Demo",
        "login": 50_000_001,
        "halts": Halts(),
        "lease_holder": "desk:17",
        "lease_epoch": 3,
        "lease_age_seconds": 0.4,
        "standbys": 1,
        "worker_report": {"version": "0.5.0", "leads_since": "2026-03-02T08:00:00+00:00"},
        "executions_by_state": {"accepted": 2, "filled": 12, "rejected": 1},
        "oldest_open_at": datetime(2026, 3, 2, 9, 29, 57, tzinfo=UTC),
        "unresolved": [],
        "outbox_size": 0,
        "outbox_age_seconds": None,
        "dead_letters_by_reason": {},
    }
    return AccountStatus(**{**quiet, **changes})


def _troubled() -> AccountStatus:
    report = {
        "waiting_for_terminal": {"e-1": "the terminal is logged out"},
        "held": {"EURUSD": 3},
        "terminal": {"main": {"state": "opening", "problem": "logged out"}},
        "alerts": {"outcome_unknown": 1},
        "last_errors": [{"at": "2026-03-02T09:29:00Z", "event": "outcome_unknown", "detail": "no history"}],
    }
    halts = Halts(Halt("odd fills", "alice", NOW), {"XAUUSD": Halt("ECB", "bob", NOW, "XAUUSD", hold=True)})
    return _account(
        halts=halts,
        worker_report=report,
        unresolved=[UNRESOLVED],
        outbox_size=2,
        outbox_age_seconds=70.25,
        dead_letters_by_reason={"network_error": 2},
    )


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    def show_it(one: AccountStatus, queues: list[QueueDepth] | None = QUEUES) -> str:
        show.console().print(screen(Picture([one], queues)))
        page = capsys.readouterr().out
        assert max(map(len, page.splitlines())) <= 80
        assert "\x1b" not in page
        return " ".join(page.split())

    return show_it


def test_a_quiet_account_fits_a_screen_and_needs_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    show.console().print(screen(Picture([_account()], QUEUES)))

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    page = " ".join(" ".join(lines).split())
    for told_ in (
        "nothing needs you",
        "simulated, Simulated-Demo, login 50000001",
        "trading on",
        "desk:17, version 0.5.0, leads since 2026-03-02T08:00:00 UTC",
        "3, renewed 400.0 ms ago; standbys: 1",
        "accepted 2; the oldest came 3.00 s ago",
        "last 24 h filled 12, rejected 1",
        "dead letters none",
        "trades.approved.main 0, trades.dead 0, trades.parked 0; consumers of trades: 1",
    ):
        assert told_ in page


def test_what_needs_a_person_is_said_first_and_with_its_command(shown: Any) -> None:
    page = shown(_troubled(), None)

    needs = [one.split(" -> ")[1].split(" needs you")[0] for one in page.split("needs you: ")[1:]]
    assert [need.split(" broker ")[0].strip() for need in needs] == [
        f"mt5-worker executions show {UUID(int=1)}",
        "mt5-worker resume --reason WHY",
        "mt5-worker resume --symbol XAUUSD --reason WHY",
        "mt5-worker doctor",
        "mt5-worker dlq groups",
        "mt5-worker doctor",
        "mt5-worker doctor",
    ]
    for told_ in (
        "the account is halted by alice: odd fills (since 2026-03-02 09:30 UTC; its trades are rejected)",
        "XAUUSD is halted by bob: ECB (since 2026-03-02 09:30 UTC; its trades wait)",
        "1 for the terminal: the terminal is logged out",
        "by a halt: EURUSD 3",
        "alerts outcome_unknown 1 since this worker began",
        "opening: logged out",
        "outcome_unknown: no history",
        "2 waiting, the oldest for 1 m 10 s",
        "RabbitMQ does not answer",
    ):
        assert told_ in page


@pytest.mark.parametrize(
    ("holder", "age", "said"),
    [
        (None, None, "no worker leads account main"),
        ("desk:17", 5.5, "worker desk:17 is silent for 5.50 s: what it has reported is as old"),
    ],
)
def test_an_account_that_nobody_leads_says_so(shown: Any, holder: str | None, age: float | None, said: str) -> None:
    troubled = {"terminal": {"main": {"state": "ready", "problem": "logged out"}}}

    page = shown(_account(lease_holder=holder, lease_age_seconds=age, worker_report=troubled))

    assert said in page
    assert "cannot trade" not in page  # nobody knows that now


def test_of_several_terminals_it_is_said_what_each_does(shown: Any) -> None:
    sessions = {
        "asks": {"state": "ready", "problem": None, "duty": "answers"},
        "sends": {"state": "ready", "problem": "Algo Trading is off", "duty": "sends"},
    }

    page = shown(_account(worker_report={"terminal": sessions}))

    assert "terminal asks ready, answers questions" in page
    assert "terminal sends ready, sends orders: Algo Trading is off" in page


def test_of_many_unresolved_trades_the_rest_is_counted(shown: Any) -> None:
    page = shown(_account(unresolved=[UNRESOLVED] * 5))

    assert "2 more trades are unresolved -> mt5-worker executions list --status unresolved" in page


def test_a_count_that_is_cut_off_says_so(shown: Any) -> None:
    page = shown(_account(executions_by_state={"accepted": 5, "filled": MOST_COUNTED - 5, "rejected": 5}))

    assert f"rejected 5 (the newest {MOST_COUNTED} only)" in page


def test_parked_messages_need_a_person(shown: Any) -> None:
    page = shown(_account(), [QueueDepth("trades.parked", 4, 0)])

    assert "4 messages could not be taken in" in page


def test_hostile_words_stay_what_they_are(shown: Any) -> None:
    report = {
        "version": HOSTILE,
        "terminal": {HOSTILE[:40]: {"state": HOSTILE, "problem": HOSTILE}},
        "last_errors": [{"at": HOSTILE, "event": HOSTILE, "detail": HOSTILE}],
    }
    line = UnresolvedLine(UUID(int=1), HOSTILE, HOSTILE[:29], None, None)
    halts = Halts(None, {HOSTILE[:29]: Halt(HOSTILE, HOSTILE, NOW, HOSTILE[:29])})

    shown(_account(worker_report=report, unresolved=[line], halts=halts))


def test_json_says_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    show.print_json(told(Picture([_troubled()], QUEUES)))

    [account] = json.loads(capsys.readouterr().out)
    assert account["halt"] == "halted by alice: odd fills"
    assert [halt["symbol"] for halt in account["halts"]] == [None, "XAUUSD"]
    assert len(account["needs_you"]) == 6
    assert account["unresolved"][0]["execution_id"] == str(UUID(int=1))
    assert [queue["name"] for queue in account["queues"]] == ["trades.approved.main", "trades.dead", "trades.parked"]
    assert told(Picture([_account()], None))[0]["queues"] is None


def test_a_ledger_without_accounts_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show.console().print(screen(Picture([], QUEUES)))

    assert capsys.readouterr().out == "no account: no worker has run on this ledger yet\n"
