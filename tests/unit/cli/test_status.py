"""How an account stands, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from worker.cli.status import _as_fields, _as_json
from worker.ledger.status import AccountStatus, UnresolvedLine
from worker.messaging.inspection import QueueDepth


def _account(**changes: Any) -> AccountStatus:
    quiet: dict[str, Any] = {
        "account": "main",
        "backend": "simulated",
        "server": "Simulated-Demo",
        "login": 50_000_001,
        "halt": None,
        "halted_at": None,
        "lease_holder": "desk:17",
        "lease_epoch": 3,
        "lease_age_seconds": 0.4,
        "worker_report": {},
        "executions_by_state": {"filled": 12, "rejected": 1},
        "oldest_open_at": None,
        "unresolved": [],
        "outbox_size": 0,
        "outbox_age_seconds": None,
        "dead_letters_by_reason": {},
    }
    return AccountStatus(**{**quiet, **changes})


def test_a_quiet_account() -> None:
    fields = _as_fields(_account(), [QueueDepth("trades.approved.main", 0, 1)])

    assert fields["trading"] == "on"
    assert fields["broker"] == "simulated, Simulated-Demo, login 50000001"
    assert fields["worker"] == "desk:17, seen 0.4 s ago, lease 3"
    assert fields["executions"] == "filled 12, rejected 1"
    assert fields["dead letters"] == "none"
    assert fields["queue trades.approved.main"] == "0 ready, 1 consumers"


def test_an_account_without_a_worker() -> None:
    fields = _as_fields(_account(lease_holder=None, lease_age_seconds=None, backend=None), [])

    assert fields["worker"] == "none: trades wait in RabbitMQ"
    assert fields["broker"] is None


def test_of_several_terminals_it_is_said_what_each_does() -> None:
    sessions = {
        "asks": {"state": "ready", "problem": None, "duty": "answers"},
        "sends": {"state": "ready", "problem": "Algo Trading is off", "duty": "sends"},
    }
    fields = _as_fields(_account(worker_report={"terminal": sessions}), [])

    assert fields["terminal asks"] == "ready, answers questions"
    assert fields["terminal sends"] == "ready, sends orders: Algo Trading is off"


def test_what_needs_attention_is_named() -> None:
    unresolved = UnresolvedLine(UUID(int=1), "RPM-7", "EURUSD", "look for magic 8", None)
    report = {
        "waiting_for_terminal": {"e-1": "the terminal is logged out"},
        "terminal": {"main": {"state": "opening", "problem": "logged out"}},
    }
    troubled = _account(
        halt="halted by alice: odd fills",
        worker_report=report,
        unresolved=[unresolved],
        oldest_open_at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
        outbox_size=2,
        outbox_age_seconds=7.25,
    )

    fields = _as_fields(troubled, None)

    assert fields["trading"] == "halted by alice: odd fills"
    assert fields["waiting e-1"] == "the terminal is logged out"
    assert fields["terminal main"] == "opening: logged out"
    assert fields["unresolved RPM-7"] == "look for magic 8"
    assert fields["oldest open"] == "2026-03-02 09:30:00.000 UTC"
    assert fields["outbox"] == "2 waiting, the oldest for 7.2 s"
    assert fields["queues"] == "RabbitMQ does not answer"


def test_json_has_the_queues_that_are_there() -> None:
    told = _as_json(_account(), [QueueDepth("trades.dead", 4, 0), "trades.unroutable"])

    assert told["queues"] == [{"name": "trades.dead", "messages": 4, "consumers": 0}]
    assert _as_json(_account(), None)["queues"] is None
