"""An operator's word ends what is unresolved, once, whatever the worker does meanwhile; the broker's goes before it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fixtures.chain import first_fault
from tests.integration.ledger.conftest import user_of
from tests.integration.ledger.stories import (
    AN_ORDER,
    NOON,
    RealClock,
    a_deal,
    a_letter,
    a_trade,
    an_arrival,
    filled,
    unknown,
    unresolved,
    written_ahead,
)
from worker.domain.attestation import AttestedDeal, Statement
from worker.domain.errors import NotFound, Refused, StaleRevision
from worker.domain.execution import Deal, Execution, State
from worker.domain.message import MessageKind
from worker.ledger.audit import AuditRow
from worker.ledger.connection import Connection
from worker.ledger.desk import dead_letter
from worker.ledger.history import execution as story_of
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import Operator, operator
from worker.ledger.replays import replay
from worker.ledger.resolutions import resolve
from worker.pipeline.attest import attest_executed, attest_not_executed
from worker.pipeline.settle import concluding, executed
from worker.ports import Admittance, Change

pytestmark = pytest.mark.services

ANN = Statement("ann", "the broker's statement", NOON + timedelta(hours=1))


@pytest.fixture
async def desk(ledger_url: str) -> AsyncIterator[Operator]:
    async with operator(ledger_url, RealClock()) as desk:
        yield desk


def by_deals(*deals: AttestedDeal) -> Callable[[Execution], Change]:
    return lambda execution: attest_executed(execution, deals, ANN)


def not_executed(execution: Execution) -> Change:
    return attest_not_executed(execution, ANN)


async def say(desk: Operator, execution: Execution, end: Callable[[Execution], Change]) -> Execution:
    return await resolve(desk, str(execution.execution_id), end, reason=ANN.reason, by=ANN.by)


async def test_an_attested_deal_ends_it_as_filled(ledger: PostgresLedger, desk: Operator) -> None:
    doubted = await _unresolved(ledger)

    after = await say(desk, doubted, by_deals(AttestedDeal(9001)))

    story = await story_of(desk, "RPM-1")
    assert story.execution == after
    assert (after.state, after.version, after.revision) == (State.FILLED, 2, doubted.revision + 1)
    assert [(deal.deal_id, deal.lots, deal.price, deal.attested_by) for deal in after.deals] == [
        (9001, Decimal("1.00"), None, "ann")
    ]
    assert [(told.version, told.status, told.final) for told in story.confirmations][1:] == [(2, "filled", True)]
    assert [(event.kind, event.actor) for event in story.events][-3:] == [
        ("resolved", "ann"),
        ("settled", "ann"),
        ("confirmed", "worker"),
    ]


async def test_its_confirmation_leaves_through_the_outbox_for_all_who_wait(
    ledger: PostgresLedger, desk: Operator
) -> None:
    doubted = await _unresolved(ledger, reply_to="answers")
    before = {row.id for row in await ledger.outbox.pending(100)}

    await say(desk, doubted, not_executed)

    queued = [row.message for row in await ledger.outbox.pending(100, before)]
    assert [message.kind for message in queued] == [MessageKind.CONFIRMATION, MessageKind.REPLY]
    assert {message.message_id for message in queued} == {f"{doubted.execution_id}:2"}
    assert json.loads(queued[0].body)["status"] == "error"
    assert queued[0].routing_key == "confirmation.error.main.EURUSD"


async def test_no_worker_has_to_run(ledger: PostgresLedger, desk: Operator, database: Connection) -> None:
    doubted = await _unresolved(ledger)
    await ledger.close()

    assert (await say(desk, doubted, not_executed)).state is State.ERROR

    cursor = await database.execute("select * from ledger.audit_events order by sequence")
    assert first_fault([AuditRow(**row) for row in await cursor.fetchall()]) is None


async def test_the_operator_s_role_is_enough(ledger: PostgresLedger, database: Connection, ledger_url: str) -> None:
    doubted = await _unresolved(ledger)

    async with operator(await user_of(database, ledger_url, role="mt5_operator"), RealClock()) as desk:
        after = await say(desk, doubted, by_deals(AttestedDeal(9001)))

    assert after.state is State.FILLED


async def test_a_worker_that_still_sought_finds_that_it_has_moved_on(ledger: PostgresLedger, desk: Operator) -> None:
    doubted = await _unresolved(ledger)
    await say(desk, doubted, not_executed)

    with pytest.raises(StaleRevision):
        await ledger.record(filled(doubted, 9001))

    assert (await story_of(desk, "RPM-1")).execution.state is State.ERROR


async def test_a_worker_that_was_quicker_is_believed(ledger: PostgresLedger, desk: Operator) -> None:
    doubted = await _unresolved(ledger)
    await ledger.record(filled(doubted, 9001))

    with pytest.raises(Refused, match="is filled: it has ended; only what is unresolved can be resolved"):
        await say(desk, doubted, not_executed)


async def test_it_is_resolved_once(ledger: PostgresLedger, desk: Operator) -> None:
    doubted = await _unresolved(ledger)
    await say(desk, doubted, by_deals(AttestedDeal(9001)))

    with pytest.raises(Refused, match="is filled: it has ended"):
        await say(desk, doubted, not_executed)
    assert len((await story_of(desk, "RPM-1")).confirmations) == 2


async def test_what_is_open_is_left_to_the_worker(ledger: PostgresLedger, desk: Operator) -> None:
    opened = (await ledger.admit(an_arrival())).execution

    with pytest.raises(Refused, match="is received: the worker is at it"):
        await say(desk, opened, not_executed)


async def test_what_does_not_exist_is_not_found(ledger: PostgresLedger, desk: Operator) -> None:
    assert not list(ledger.halts)

    with pytest.raises(NotFound, match="no execution and no trade with the id RPM-9"):
        await resolve(desk, "RPM-9", not_executed, reason="x", by="ann")


async def test_a_deal_executes_one_trade_only(ledger: PostgresLedger, desk: Operator) -> None:
    first, second = await _unresolved(ledger, "RPM-1"), await _unresolved(ledger, "RPM-2")
    await ledger.record(filled(first, 9001))

    with pytest.raises(Refused, match=f"deal 9001 belongs to execution {first.execution_id} .trade RPM-1."):
        await say(desk, second, by_deals(AttestedDeal(9001)))

    assert (await story_of(desk, "RPM-2")).execution == second


async def test_its_dead_letter_is_done_with_when_it_was_executed(ledger: PostgresLedger, desk: Operator) -> None:
    doubted = await _unresolved(ledger)
    letter = replace(a_letter(doubted.message), execution_id=doubted.execution_id, reason="outcome_unknown")
    await ledger.take_in(letter, None)

    await say(desk, doubted, by_deals(AttestedDeal(9001)))

    line = (await dead_letter(desk, letter.letter_id)).line
    assert (line.state, line.state_by, line.state_reason) == ("resolved", "ann", "the broker's statement")


async def test_its_dead_letter_can_be_replayed_when_it_was_not(ledger: PostgresLedger, desk: Operator) -> None:
    doubted = await _unresolved(ledger)
    letter = replace(a_letter(doubted.message), execution_id=doubted.execution_id, reason="outcome_unknown")
    await ledger.take_in(letter, None)
    with pytest.raises(Refused, match="unresolved"):
        await replay(desk, letter.letter_id, AN_ORDER)

    await say(desk, doubted, not_executed)

    replay_id = await replay(desk, letter.letter_id, AN_ORDER)
    again = replace(doubted.message, headers={"replay-id": str(replay_id)})
    admission = await ledger.admit(an_arrival(message=again))
    assert admission.admittance is Admittance.REOPENED
    assert (admission.execution.state, admission.execution.version) == (State.RECEIVED, 2)


class TestWhenTheBrokerShowsTheDeal:
    """The deal was attested; now the poll finds it."""

    async def test_it_counts_as_unrecorded_until_its_figures_are_here(
        self, ledger: PostgresLedger, desk: Operator
    ) -> None:
        attested = await say(desk, await _unresolved(ledger), by_deals(AttestedDeal(9001)))
        assert await ledger.unrecorded([9001]) == {9001}

        corrected = await ledger.record(_shown(attested, a_deal(attested, 9001)))

        assert await ledger.unrecorded([9001]) == frozenset()
        assert (await story_of(desk, "RPM-1")).execution == corrected
        assert (corrected.state, corrected.version, corrected.fill_price) == (State.FILLED, 3, Decimal("1.10010"))

    async def test_a_smaller_deal_makes_it_a_partial_fill(self, ledger: PostgresLedger, desk: Operator) -> None:
        attested = await say(desk, await _unresolved(ledger), by_deals(AttestedDeal(9001)))

        corrected = await ledger.record(_shown(attested, a_deal(attested, 9001, "0.60")))

        assert (await story_of(desk, "RPM-1")).execution == corrected
        assert (corrected.state, corrected.executed_lots) == (State.PARTIALLY_FILLED, Decimal("0.60"))

    async def test_another_deal_for_all_of_it_withdraws_the_ticket_that_was_wrong(
        self, ledger: PostgresLedger, desk: Operator
    ) -> None:
        attested = await say(desk, await _unresolved(ledger), by_deals(AttestedDeal(7001)))

        corrected = await ledger.record(_shown(attested, a_deal(attested, 9001)))

        stored = (await story_of(desk, "RPM-1")).execution
        assert stored == corrected
        assert [deal.deal_id for deal in stored.deals] == [9001]

    async def test_as_another_trade_s_the_operator_s_mistake_is_told_of(
        self, ledger: PostgresLedger, desk: Operator
    ) -> None:
        mistaken = await say(desk, await _unresolved(ledger), by_deals(AttestedDeal(9001)))
        owner = await _unresolved(ledger, "RPM-2")

        with capture_logs() as lines:
            await ledger.record(_shown(owner, a_deal(owner, 9001)))

        [line] = lines
        assert (line["execution_id"], line["trade_id"]) == (str(mistaken.execution_id), "RPM-1")
        events = (await story_of(desk, "RPM-1")).events
        assert [event.kind for event in events][-1] == "alert"
        assert "attestation_refuted" in str(events[-1].payload)
        assert (await story_of(desk, "RPM-1")).execution.state is mistaken.state

    async def test_what_the_broker_has_shown_is_never_replaced_nor_deleted(
        self, ledger: PostgresLedger, desk: Operator, database: Connection
    ) -> None:
        attested = await say(desk, await _unresolved(ledger), by_deals(AttestedDeal(9001)))
        corrected = await ledger.record(_shown(attested, a_deal(attested, 9001)))

        await ledger.record(_shown(corrected, replace(a_deal(corrected, 9001), price=Decimal(2))))

        assert (await story_of(desk, "RPM-1")).execution.fill_price == Decimal("1.10010")
        for change in ("delete from ledger.deals", "update ledger.deals set price = 2"):
            with pytest.raises(Exception, match="the broker has shown it; it is neither changed nor deleted"):
                await database.execute(change)


async def _unresolved(ledger: PostgresLedger, order_id: str = "RPM-1", **properties: Any) -> Execution:
    arrival = an_arrival(a_trade(order_id))
    arrival = replace(arrival, message=replace(arrival.message, **properties))
    execution = (await ledger.admit(arrival)).execution
    for step in (written_ahead, unknown, unresolved):
        execution = await ledger.record(step(execution))
    return execution


def _shown(execution: Execution, deal: Deal) -> Change:
    return concluding(execution, executed(execution, (deal,)), datetime.now(UTC), deals=(deal,))
