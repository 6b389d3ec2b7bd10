"""What nobody can prove, an operator ends by evidence of his own, and all who listen are told."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk
from tests.fixtures.rpm import Sent, approval
from tests.fixtures.worker_process import Finished

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

SYMBOL = "EURUSD.nohistory"
PATIENCE = 60.0
BY = ("--by", "ann@desk")
WHY = ("--reason", "the broker's daily statement")


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(TERMINAL_CALL_TIMEOUT_SECONDS="2", UNKNOWN_HORIZON_SECONDS="2") as desk:
        yield desk


def _unresolved(desk: Desk, units: float) -> tuple[Sent, str]:
    """Publish a trade that is executed and never shown, and wait until a person is asked; return its execution id."""
    sent = desk.publish(approval(SYMBOL, units))
    told = desk.confirmation(sent, timeout=PATIENCE)
    assert told.outcome == ("unresolved", "outcome_unknown")
    return sent, told["execution_id"]


def _ticket(desk: Desk, lots: float) -> str:
    """Look into the broker's book, which the terminal does not show, for the deal of this size."""
    [traded] = [one for one in desk.book.traded(SYMBOL) if float(one.lots) == lots]
    [deal] = traded.deals
    return str(deal["ticket"])


def _resolve(desk: Desk, execution_id: str, *how: str) -> Finished:
    return desk.command("executions", "resolve", execution_id, *how, *WHY, *BY)


def _refused(done: Finished, sentence: str, code: int = 1) -> None:
    assert (done.code, done.out) == (code, "")
    assert sentence in " ".join(done.err.replace("│", " ").split())
    assert "Traceback" not in done.said


def test_a_deal_found_in_the_broker_s_own_records_fills_it(desk: Desk) -> None:
    sent, execution_id = _unresolved(desk, 10_000.0)
    ticket = _ticket(desk, 0.1)

    done = _resolve(desk, execution_id, "--executed", "--deal", ticket)

    assert done.code == 0, done.said
    assert "filled" in done.out
    told = desk.confirmation(sent, version=2)
    assert told.outcome == ("filled", None)
    assert (told["final"], told["executed_units"], told["executed_lots"]) == (True, 10_000, 0.1)
    assert [(deal["deal_id"], deal["price"]) for deal in told["deals"]] == [(ticket, None)]
    assert told["fill_price"] is told["slippage_pips"] is None
    # And its story tells who said so, and the dead letter is done with
    story = json.loads(desk.command("executions", "show", execution_id, "--json").out)
    [resolved] = [event for event in story["events"] if event["kind"] == "resolved"]
    assert (resolved["actor"], resolved["payload"]["reason"]) == (BY[1], WHY[1])
    page = desk.command("executions", "show", execution_id).out
    assert "resolved" in page
    assert BY[1] in page
    assert desk.dead_letter(execution_id)["state"] == "resolved"
    # And a ticket executes one trade only
    _, other = _unresolved(desk, 11_000.0)
    _refused(
        _resolve(desk, other, "--executed", "--deal", ticket), f"deal {ticket} belongs to execution {execution_id}"
    )
    assert _resolve(desk, other, "--executed", "--deal", f"{_ticket(desk, 0.11)}:0.06@1.0842").code == 0


def test_what_was_not_executed_ends_in_error_and_can_be_replayed(desk: Desk) -> None:
    sent, execution_id = _unresolved(desk, 12_000.0)
    letter = desk.dead_letter(execution_id)
    replay = ("dlq", "replay", letter["id"], "--reason", "again", "--allow-stale")
    _refused(desk.command(*replay), "unresolved")

    assert _resolve(desk, execution_id, "--not-executed").code == 0

    told = desk.confirmation(sent, version=2)
    assert told.outcome == ("error", "network_error")
    assert (told["final"], told["executed_units"], told["deals"]) == (True, 0, [])
    assert told["rejection_details"] == f"{BY[1]} attests that it was not executed: {WHY[1]}"
    # And its dead letter opens the same execution again
    assert desk.command(*replay).code == 0
    third = desk.confirmation(sent, version=3, timeout=PATIENCE)
    assert (third["execution_id"], third["attempts"]) == (execution_id, 2)


def test_nothing_else_can_be_resolved(desk: Desk) -> None:
    filled = desk.confirmed(approval("EURUSD"))["execution_id"]

    _refused(_resolve(desk, filled, "--not-executed"), "is filled: it has ended; only what is unresolved")
    _refused(_resolve(desk, str(uuid.UUID(int=0)), "--not-executed"), "no execution and no trade")


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ((), "say one of --executed and --not-executed"),
        (("--executed", "--not-executed", "--deal", "1"), "say one of --executed and --not-executed"),
        (("--executed",), "--executed takes its deals with --deal"),
        (("--not-executed", "--deal", "1"), "--not-executed takes none"),
        (("--executed", "--deal", "nonsense"), "'nonsense' is no deal"),
        (("--executed", "--deal", "1", "1"), "a deal is named twice"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(desk: Desk, how: tuple[str, ...], complaint: str) -> None:
    _refused(_resolve(desk, "RPM-1", *how), complaint, code=2)


def test_it_needs_a_reason(desk: Desk) -> None:
    assert desk.command("executions", "resolve", "RPM-1", "--not-executed").code == 2
    assert desk.command("executions", "resolve", "RPM-1", "--not-executed", "--reason", " ").code == 2
