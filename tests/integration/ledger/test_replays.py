"""Dead letters are tried again: once, by permission, and never so that a trade is done twice or a letter lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.fixtures.rpm import approval
from tests.integration.ledger.conftest import OpenLedger, user_of
from tests.integration.ledger.stories import (
    AN_ORDER,
    RealClock,
    a_letter,
    a_message,
    a_refusal,
    accepted,
    failed,
    filled,
    rejected,
    unknown,
    unresolved,
    written_ahead,
)
from worker.domain.errors import NotFound, Refused
from worker.domain.execution import Execution, State
from worker.domain.message import IncomingMessage, MessageKind, OutgoingMessage, PublishResult
from worker.domain.token import attempt_token, base_token
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import Operator, halt, operator, resume
from worker.ledger.replay_plan import plan
from worker.ledger.replays import replay
from worker.pipeline.intake import read_trade
from worker.pipeline.prospects import LOST_AFTER, Fate, Terms
from worker.ports import Admission, Admittance, Arrival, DeadLetter, Orphan

pytestmark = pytest.mark.services

A_MINUTE = Terms(max_trade_age=timedelta(seconds=60))


@pytest.fixture
async def desk(ledger_url: str) -> AsyncIterator[Operator]:
    async with operator(ledger_url, RealClock()) as desk:
        yield desk


async def test_a_message_that_was_never_a_trade_is_taken_as_new_with_its_permission(
    ledger: PostgresLedger, desk: Operator
) -> None:
    headers = {"traceparent": "00-1", "x-death": "old", "failed-at": "then", "trade-id": "X"}
    letter = await _taken_in(ledger, a_letter(an_approval(headers=headers, content_encoding="utf-8")))

    delivered = await _replayed(ledger, desk, letter, allow_stale=True)

    assert (delivered.exchange, delivered.routing_key) == ("trades", "approved.main.EURUSD")
    assert (delivered.body, delivered.content_encoding) == (letter.message.body, "utf-8")
    assert set(delivered.headers) == {"traceparent", "replay-id"}
    first, second = [await _arrives(ledger, delivered) for _ in range(2)]
    assert (first.admittance, first.execution.stale_allowed) == (Admittance.NEW, True)
    assert second.admittance is Admittance.REPEAT
    assert await _state(desk, letter) == "replaying"

    await ledger.record(rejected(first.execution))
    assert await _state(desk, letter) == "resolved"


async def test_a_trade_that_ended_in_error_is_reopened_once(ledger: PostgresLedger, desk: Operator) -> None:
    ended, letter = await _given_up(ledger)

    delivered = await _replayed(ledger, desk, letter)
    reopened, again = [await _arrives(ledger, delivered) for _ in range(2)]

    assert (reopened.admittance, again.admittance) == (Admittance.REOPENED, Admittance.REPEAT)
    expected = (ended.execution_id, State.RECEIVED, ended.revision + 1, ended.sends, None)
    assert _essence(reopened.execution) == expected
    assert await ledger.open_executions() == [reopened.execution]


async def test_a_replay_that_fails_again_says_so(ledger: PostgresLedger, desk: Operator) -> None:
    _, letter = await _given_up(ledger)

    reopened = (await _arrives(ledger, await _replayed(ledger, desk, letter))).execution
    await ledger.record(failed(await ledger.record(written_ahead(reopened))))

    assert await _state(desk, letter) == "failed_again"


async def test_a_replay_that_is_refused_again_says_so(ledger: PostgresLedger, desk: Operator) -> None:
    letter = await _taken_in(ledger, a_letter(a_message(body=b"{")))

    await ledger.refuse(a_refusal(await _replayed(ledger, desk, letter)))

    assert await _state(desk, letter) == "failed_again"


async def test_a_replay_of_a_trade_that_has_ended_is_only_confirmed_again(
    ledger: PostgresLedger, desk: Operator
) -> None:
    message = an_approval()
    await ledger.record(rejected((await _arrives(ledger, message)).execution))
    letter = await _taken_in(ledger, a_letter(message))

    again = await _arrives(ledger, await _replayed(ledger, desk, letter))

    assert (again.admittance, again.execution.state) == (Admittance.REPEAT, State.REJECTED)
    assert await _state(desk, letter) == "resolved"


async def test_what_must_not_be_replayed_is_refused_with_the_reason(ledger: PostgresLedger, desk: Operator) -> None:
    order = replace(AN_ORDER, terms=A_MINUTE)
    stale = await _taken_in(ledger, a_letter(an_approval(age=120)))
    nowhere = await _taken_in(ledger, replace(a_letter(), account=None))
    ghost = await _taken_in(ledger, replace(a_letter(a_message(routing_key="approved.ghost.X")), account="ghost"))
    elsewhere = await _taken_in(ledger, a_letter(replace(an_approval(), routing_key="approved.other.EURUSD")))
    endless = await _taken_in(ledger, a_letter(replace(an_approval(), message_id="m" * 256)))

    for letter, why in [
        (stale, "the limit is 60 s: it would expire; --allow-stale tries it"),
        (nowhere, "names no account"),
        (ghost, "is for account ghost, and no worker has ever run for it"),
        (elsewhere, "the routing key says account other, the queue is that of account main"),
        (endless, "has an id longer than AMQP's 255 bytes"),
    ]:
        with pytest.raises(Refused, match=why):
            await replay(desk, letter.letter_id, order)
    with pytest.raises(NotFound, match="there is no dead letter"):
        await replay(desk, uuid4(), order)
    assert {await _state(desk, letter) for letter in (stale, nowhere, ghost, elsewhere, endless)} == {"new"}


async def test_a_stale_approval_is_tried_when_an_operator_says_so(ledger: PostgresLedger, desk: Operator) -> None:
    letter = await _taken_in(ledger, a_letter(an_approval(age=120)))

    await replay(desk, letter.letter_id, replace(AN_ORDER, terms=replace(A_MINUTE, allow_stale=True)))

    with pytest.raises(Refused, match="is replaying by ann: its message waits in the outbox"):
        await replay(desk, letter.letter_id, AN_ORDER)


async def test_while_a_halt_rejects_trades_none_is_thrown_away_by_a_replay(
    ledger: PostgresLedger, desk: Operator
) -> None:
    ended, letter = await _given_up(ledger)
    repeated = await _taken_in(ledger, a_letter(an_approval()))
    await halt(desk, "main", reason="odd fills", by="ann")

    for one in (letter, repeated):
        with pytest.raises(Refused, match="would be rejected for good, halted by ann: odd fills; resume first"):
            await replay(desk, one.letter_id, AN_ORDER)

    await halt(desk, "main", reason="odd fills", by="ann", hold=True)
    admission = await _arrives(ledger, await _replayed(ledger, desk, letter))
    assert (admission.admittance, admission.execution.attempts) == (Admittance.REOPENED, ended.attempts)


async def test_what_failed_as_a_trade_that_the_ledger_does_not_know_is_never_taken_as_new(
    ledger: PostgresLedger, desk: Operator
) -> None:
    order = replace(AN_ORDER, terms=Terms(timedelta(0), allow_stale=True))

    for reason in ("outcome_unknown", "network_error"):
        letter = await _taken_in(ledger, replace(a_letter(an_approval()), reason=reason, execution_id=uuid4()))
        with pytest.raises(Refused, match=f"failed as {reason}, and its order may stand at the broker: this ledger"):
            await replay(desk, letter.letter_id, order)
        assert await _state(desk, letter) == "new"


async def test_what_a_copy_of_the_ledger_may_have_lost_is_stale_until_an_operator_says_so(
    ledger: PostgresLedger, desk: Operator, database: Connection
) -> None:
    ended, given_up = await _given_up(ledger)
    fresh = await _taken_in(ledger, a_letter(an_approval()))

    # When the broker shows what it never wrote down
    await ledger.report_orphans([Orphan(attempt_token(base_token(77, 900), 1), 7001, "EURUSD")])
    await resume(desk, "main", reason="compared", by="ann")
    later = await _taken_in(ledger, a_letter(an_approval(age=-5)))  # by more than clocks may differ

    # Then what was approved before is refused, and all there is while no worker has recognised the copy
    assert await _fates(desk, given_up, fresh, later) == [Fate.STALE, Fate.STALE, Fate.WILL_TRADE]
    await database.execute("update ledger.namespaces set storage = 'elsewhere'")
    assert await _fates(desk, given_up, fresh, later) == [Fate.STALE] * 3
    with pytest.raises(Refused, match="another copy, which may have lost that it was executed"):
        await replay(desk, given_up.letter_id, AN_ORDER)
    arrived = await _arrives(ledger, await _replayed(ledger, desk, given_up, allow_stale=True))
    assert arrived.execution.stale_allowed
    assert ended.execution_id == arrived.execution.execution_id


class TestUnresolved:
    """Whether its order stands at the broker, nobody knows."""

    async def test_it_cannot_be_replayed(self, ledger: PostgresLedger, desk: Operator) -> None:
        message = an_approval()
        execution = await _unresolved(ledger, (await _arrives(ledger, message)).execution)
        by_trade = await _taken_in(ledger, a_letter(message))
        by_name = await _taken_in(ledger, replace(a_letter(), execution_id=execution.execution_id))

        for letter in (by_trade, by_name):
            with pytest.raises(Refused, match="unresolved: its order may stand at the broker; resolve it first"):
                await replay(desk, letter.letter_id, replace(AN_ORDER, terms=Terms(timedelta(0), allow_stale=True)))

    async def test_a_trade_that_becomes_so_on_the_way_leaves_its_letter_open(
        self, ledger: PostgresLedger, desk: Operator
    ) -> None:
        # Given a letter that is replayed while its trade is being worked on
        message = an_approval()
        execution = (await _arrives(ledger, message)).execution
        letter = await _taken_in(ledger, a_letter(message))
        delivered = await _replayed(ledger, desk, letter)

        # When the trade is unresolved before the message arrives
        await _unresolved(ledger, execution)
        arrived = await _arrives(ledger, delivered)

        # Then nothing is sent, and the letter is not taken for done
        assert (arrived.admittance, arrived.execution.state) == (Admittance.REPEAT, State.UNRESOLVED)
        assert await _state(desk, letter) == "failed_again"


async def test_two_letters_of_one_trade_that_are_replayed_together_reopen_it_once(
    ledger: PostgresLedger, desk: Operator
) -> None:
    ended, first = await _given_up(ledger)
    second = await _taken_in(ledger, replace(a_letter(ended.message), execution_id=ended.execution_id))
    messages = [await _replayed(ledger, desk, letter) for letter in (first, second)]

    admissions = await asyncio.gather(*(_arrives(ledger, message) for message in messages))

    assert [one.admittance for one in admissions] == [Admittance.REOPENED, Admittance.REPEAT]
    assert await ledger.open_executions() == [admissions[0].execution]
    await _fill(ledger, admissions[0].execution)
    assert [await _state(desk, letter) for letter in (first, second)] == ["resolved", "resolved"]


async def test_a_trade_that_fails_just_when_another_replay_of_it_arrives_is_reopened_for_good(
    ledger: PostgresLedger, desk: Operator
) -> None:
    # Given a trade in its second round, and a second letter of it that is being replayed
    ended, first = await _given_up(ledger)
    second = await _taken_in(ledger, replace(a_letter(ended.message), execution_id=ended.execution_id))
    messages = [await _replayed(ledger, desk, letter) for letter in (first, second)]
    again = await ledger.record(written_ahead((await _arrives(ledger, messages[0])).execution))

    # When its end and the second replay are written down at the same moment
    _, _, admission = await asyncio.gather(
        _arrives(ledger, an_approval()), ledger.record(failed(again)), _arrives(ledger, messages[1])
    )

    # Then it stands as the worker was told, and goes on
    assert admission.admittance is Admittance.REOPENED
    assert admission.execution in await ledger.open_executions()
    await _fill(ledger, admission.execution)
    assert [await _state(desk, letter) for letter in (first, second)] == ["failed_again", "resolved"]


async def test_a_permission_is_for_its_own_message_only(ledger: PostgresLedger, desk: Operator) -> None:
    _, letter = await _given_up(ledger)
    delivered = await _replayed(ledger, desk, letter, allow_stale=True)

    stranger = await _arrives(ledger, replace(an_approval(), headers=delivered.headers))

    assert (stranger.admittance, stranger.execution.stale_allowed) == (Admittance.NEW, False)
    assert (await _arrives(ledger, delivered)).admittance is Admittance.REOPENED


class TestLostOnTheWay:
    """A message that left and never arrives: its queue was purged."""

    async def test_its_letter_may_be_replayed_again_and_only_the_later_permission_counts(
        self, ledger: PostgresLedger, desk: Operator, database: Connection
    ) -> None:
        ended, letter = await _given_up(ledger)
        lost = await _replayed(ledger, desk, letter)
        with pytest.raises(Refused, match="its message is on its way; if it has not arrived 5 minutes after"):
            await replay(desk, letter.letter_id, AN_ORDER)
        await _let_time_pass(database)

        # When it is replayed again, and the first message turns up after all
        second = await _replayed(ledger, desk, letter)
        late = await _arrives(ledger, lost)
        arrived = await _arrives(ledger, second)

        assert (late.admittance, late.execution) == (Admittance.REPEAT, ended)
        assert arrived.admittance is Admittance.REOPENED
        await _fill(ledger, arrived.execution)
        assert await _state(desk, letter) == "resolved"

    async def test_one_that_waits_in_the_outbox_is_not_lost(
        self, ledger: PostgresLedger, desk: Operator, database: Connection
    ) -> None:
        _, letter = await _given_up(ledger)
        await replay(desk, letter.letter_id, AN_ORDER)
        await _let_time_pass(database)

        with pytest.raises(Refused, match="waits in the outbox until the worker of account main publishes it"):
            await replay(desk, letter.letter_id, AN_ORDER)

    async def test_one_that_has_arrived_is_not_lost(
        self, ledger: PostgresLedger, desk: Operator, database: Connection
    ) -> None:
        _, letter = await _given_up(ledger)
        await _arrives(ledger, await _replayed(ledger, desk, letter))
        await _let_time_pass(database)

        with pytest.raises(Refused, match="its message has arrived, and its trade has not ended yet"):
            await replay(desk, letter.letter_id, AN_ORDER)


async def test_what_an_earlier_replay_of_a_letter_comes_to_does_not_close_the_later_one(
    ledger: PostgresLedger, desk: Operator
) -> None:
    # Given a letter whose replay has failed, and which is being replayed again, as is another of the same trade
    ended, letter = await _given_up(ledger)
    reopened = (await _arrives(ledger, await _replayed(ledger, desk, letter))).execution
    await ledger.record(failed(await ledger.record(written_ahead(reopened))))
    other = await _taken_in(ledger, replace(a_letter(ended.message), execution_id=ended.execution_id))
    mine, theirs = [await _replayed(ledger, desk, one) for one in (letter, other)]

    # When the other one's is quicker, and fails
    reopened = (await _arrives(ledger, theirs)).execution
    await ledger.record(failed(await ledger.record(written_ahead(reopened))))

    # Then this one still waits for its own
    assert [await _state(desk, one) for one in (letter, other)] == ["replaying", "failed_again"]
    await _fill(ledger, (await _arrives(ledger, mine)).execution)
    assert await _state(desk, letter) == "resolved"


class TestAnotherAccountsLetter:
    """The worker of any account takes dead letters in."""

    @pytest.fixture
    async def other(self, open_ledger: OpenLedger) -> PostgresLedger:
        return await open_ledger("other", "host:2")

    async def test_it_is_published_and_audited_by_its_own_account(
        self, ledger: PostgresLedger, other: PostgresLedger, desk: Operator
    ) -> None:
        await _arrives(other, an_approval())
        letter = await _of_other(ledger)

        await replay(desk, letter.letter_id, AN_ORDER)

        [row] = [row for row in await other.outbox.pending(10) if row.message.kind is MessageKind.REPLAY]
        admission = await _arrives(other, _delivered(row.message), "other")
        assert admission.admittance is Admittance.NEW
        assert await ledger.outbox.pending(10) == []

    async def test_its_permission_is_none_for_the_others(
        self, ledger: PostgresLedger, other: PostgresLedger, desk: Operator
    ) -> None:
        await _arrives(other, an_approval())
        letter = await _of_other(ledger)
        delivered = await _replayed(other, desk, letter, allow_stale=True)

        admission = await _arrives(ledger, delivered)

        assert (admission.admittance, admission.execution.stale_allowed) == (Admittance.NEW, False)
        assert await _state(desk, letter) == "replaying"

    async def test_when_its_message_dies_again_whoever_takes_it_in_says_so(
        self, ledger: PostgresLedger, other: PostgresLedger, desk: Operator
    ) -> None:
        await _arrives(other, an_approval())
        letter = await _of_other(ledger)
        delivered = await _replayed(other, desk, letter)

        await _taken_in(ledger, replace(a_letter(delivered), account="other", reason="delivery_limit"))

        assert await _state(desk, letter) == "failed_again"
        ordinary = await _arrives(other, delivered, "other")
        assert not ordinary.execution.stale_allowed


async def test_a_plan_changes_nothing(ledger: PostgresLedger, desk: Operator, database: Connection) -> None:
    _, given_up = await _given_up(ledger)
    broken = await _taken_in(ledger, a_letter(a_message(body=b"{")))
    before = await _everything(database)

    planned = await plan(desk, [broken.letter_id, given_up.letter_id], A_MINUTE)

    assert [one.prospect.fate for one in planned] == [Fate.WILL_BE_REFUSED, Fate.WILL_TRADE]
    assert await _everything(database) == before


async def test_operator_and_worker_need_no_more_than_their_roles(ledger_url: str, database: Connection) -> None:
    worker, person = [await user_of(database, ledger_url, role=role) for role in ("mt5_worker", "mt5_operator")]
    ledger = await PostgresLedger.open(worker, account="main", worker_id="host:1", clock=RealClock())
    await ledger.lead()
    _, letter = await _given_up(ledger)

    async with operator(person, RealClock()) as desk:
        admission = await _arrives(ledger, await _replayed(ledger, desk, letter))

    assert admission.admittance is Admittance.REOPENED
    await ledger.close()


def an_approval(*, age: float = 0, **properties: object) -> IncomingMessage:
    return a_message(body=json.dumps(approval(age=age)).encode(), **properties)


async def _taken_in(ledger: PostgresLedger, letter: DeadLetter) -> DeadLetter:
    assert await ledger.take_in(letter, None)
    return letter


async def _fates(desk: Operator, *letters: DeadLetter) -> list[Fate]:
    return [one.prospect.fate for one in await plan(desk, [letter.letter_id for letter in letters], AN_ORDER.terms)]


async def _of_other(ledger: PostgresLedger) -> DeadLetter:
    message = replace(an_approval(), exchange="", routing_key="trades.approved.other")
    return await _taken_in(ledger, replace(a_letter(message), account="other"))


async def _arrives(ledger: PostgresLedger, message: IncomingMessage, account: str = "main") -> Admission:
    now = datetime.now(UTC)
    return await ledger.admit(Arrival(uuid4(), account, message, read_trade(message, account, now), now))


async def _given_up(ledger: PostgresLedger) -> tuple[Execution, DeadLetter]:
    """Have a trade end in error, proved not executed, with its dead letter taken in."""
    message = an_approval()
    ended = await ledger.record(failed(await ledger.record(written_ahead((await _arrives(ledger, message)).execution))))
    return ended, await _taken_in(ledger, replace(a_letter(message), execution_id=ended.execution_id))


async def _unresolved(ledger: PostgresLedger, execution: Execution) -> Execution:
    for step in (written_ahead, unknown, unresolved):
        execution = await ledger.record(step(execution))
    return execution


async def _fill(ledger: PostgresLedger, execution: Execution) -> None:
    for step in (written_ahead, accepted):
        execution = await ledger.record(step(execution))
    await ledger.record(filled(execution, 9001))


async def _replayed(
    ledger: PostgresLedger, desk: Operator, letter: DeadLetter, *, allow_stale: bool = False
) -> IncomingMessage:
    """Replay a letter, publish its message as the relay does, and return it as it will arrive."""
    await ledger.outbox.mark({row.id: PublishResult.CONFIRMED for row in await ledger.outbox.pending(100)})
    await replay(desk, letter.letter_id, replace(AN_ORDER, terms=Terms(timedelta(0), allow_stale=allow_stale)))
    [row] = await ledger.outbox.pending(100)
    await ledger.outbox.mark({row.id: PublishResult.CONFIRMED})
    return _delivered(row.message)


def _delivered(sent: OutgoingMessage) -> IncomingMessage:
    return IncomingMessage(
        body=sent.body,
        exchange=sent.exchange,
        routing_key=sent.routing_key,
        message_id=sent.message_id,
        correlation_id=sent.correlation_id,
        reply_to=sent.reply_to,
        content_type=sent.content_type,
        content_encoding=sent.content_encoding,
        headers=sent.headers,
    )


async def _state(desk: Operator, letter: DeadLetter) -> str:
    cursor = await desk.connection.execute(
        "select state from ledger.dead_letters where letter_id = %s", [letter.letter_id]
    )
    [row] = await cursor.fetchall()
    return str(row["state"])


async def _let_time_pass(database: Connection) -> None:
    await database.execute("update ledger.replays set created_at = created_at - %s", [2 * LOST_AFTER])


async def _everything(database: Connection) -> list[object]:
    tables = ("dead_letters", "replays", "outbox", "executions", "audit_events", "accounts")
    ignored = "- 'lease_counter' - 'lease_renewed_at'"
    queries = [f"select to_jsonb(t) {ignored} as row from ledger.{name} t order by 1" for name in tables]  # noqa: S608
    return [await (await database.execute(query.encode())).fetchall() for query in queries]


def _essence(execution: Execution) -> tuple[object, ...]:
    return (execution.execution_id, execution.state, execution.revision, execution.round_start, execution.reason)
