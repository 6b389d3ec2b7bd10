"""What is written without a look at the account: the same as with one, and nothing when anybody else was there."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from psycopg import errors

from ops.services import Services
from tests.faults.proxy import Proxy
from tests.faults.wire_formats import COMMITTED, POSTGRES_MOMENTS, Moment
from tests.integration.ledger.conftest import OpenLedger
from tests.integration.ledger.doings import LETTER, traces_in
from tests.integration.ledger.stories import (
    AN_ORDER,
    NOON,
    RealClock,
    a_deal,
    a_message,
    a_trade,
    accepted,
    an_arrival,
    filled,
    written_ahead,
)
from worker.domain.errors import HaltedAtCommit, LeaseLost, StaleRevision
from worker.domain.execution import Execution
from worker.domain.message import PublishResult
from worker.domain.token import namespace_of
from worker.ledger.archive import DISCARD, Move, move
from worker.ledger.connection import PERSON_SESSION, Connection, connect
from worker.ledger.foresight import Foresight
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import Operator, halt, operator, republish, resume
from worker.ledger.replays import replay
from worker.ledger.round_trip import round_trip
from worker.ledger.schema import migrate
from worker.ledger.view import read_view
from worker.ports import Admittance

pytestmark = pytest.mark.services

Looks = list[str]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Remember each look at an account that a batch has taken."""
    taken: Looks = []

    async def seen(connection: Connection, account: str, *more: Any) -> Any:
        taken.append(account)
        return await read_view(connection, account, *more)

    monkeypatch.setattr("worker.ledger.batch.read_view", seen)
    return taken


@pytest.fixture
async def ledger(ledger: PostgresLedger) -> PostgresLedger:
    """Lead a ledger whose statements are prepared: it has seen a trade from its message to its publication."""
    return await practised(ledger)


@pytest.fixture
async def desk(ledger_url: str) -> AsyncIterator[Operator]:
    async with operator(ledger_url, RealClock()) as desk:
        yield desk


async def practised(ledger: PostgresLedger, times: int = 1) -> PostgresLedger:
    await a_whole_life(ledger, f"practice {times}", times)
    return ledger


async def a_whole_life(ledger: PostgresLedger, order_id: str, deal_id: int = 1) -> Execution:
    execution = await begun(ledger, order_id)
    execution = await ledger.record(accepted(await ledger.record(written_ahead(execution))))
    execution = await ledger.record(filled(execution, deal_id))
    await ledger.outbox.mark({row.id: PublishResult.CONFIRMED for row in await ledger.outbox.pending(10)})
    return execution


async def begun(ledger: PostgresLedger, order_id: str) -> Execution:
    return (await ledger.admit(an_arrival(a_trade(order_id), a_message(reply_to="desk")))).execution


async def test_a_trade_s_life_is_written_without_a_look_and_leaves_the_same(
    ledger: PostgresLedger, database: Connection, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_whole_life(ledger, "foreseen", 2)
    assert looks == []
    foreseen = await traces_in(database)

    with monkeypatch.context() as patch:
        patch.setattr(Foresight, "view", lambda _self, _question: None)
        await a_whole_life(ledger, "looked at", 3)
    assert looks == ["main"] * 5

    traces, [practice, first, second] = await traces_in(database), _lives(await traces_in(database))
    assert practice[1:] == first == second  # but for the beginning of the lease
    assert traces["executions"][1] == traces["executions"][2] == foreseen["executions"][1]
    cursor = await database.execute("select count(*) as n from ledger.confirmations where published_at is not null")
    assert await cursor.fetchall() == [{"n": 3}]


async def test_tokens_are_never_given_twice_however_they_were_taken(
    ledger: PostgresLedger, database: Connection, looks: Looks
) -> None:
    for times in range(4):
        await asyncio.gather(*(begun(ledger, f"RPM-{times}-{n}") for n in range(40)))
        await begun(ledger, f"RPM-{times}-0")  # a repeat, for which the account is looked at

    assert len(looks) == 4
    cursor = await database.execute("select token from ledger.executions order by received_at, token")
    tokens = [row["token"] for row in await cursor.fetchall()]
    assert len(set(tokens)) == 161
    assert {namespace_of(token) for token in tokens} == ledger.namespaces


async def test_a_trade_that_is_known_is_recognised_and_a_conflict_writes_nothing(
    ledger: PostgresLedger, open_ledger: OpenLedger, database: Connection, looks: Looks
) -> None:
    first = await begun(ledger, "RPM-1")
    bodily = (await ledger.admit(an_arrival(a_trade(None, body="sha")))).execution
    other = await open_ledger("other", "host:2")
    await other.admit(an_arrival(a_trade("RPM-2", account="other")))
    looks.clear()
    before = await traces_in(database)

    conflicts = [
        await ledger.admit(an_arrival(a_trade("RPM-1", units="5"))),
        await ledger.admit(an_arrival(a_trade("RPM-2"))),  # another account's
    ]
    assert [conflict.admittance for conflict in conflicts] == [Admittance.CONFLICT] * 2
    assert (await traces_in(database))["events"] == before["events"]

    repeats = await asyncio.gather(
        ledger.admit(an_arrival(a_trade("RPM-1"))),
        ledger.admit(an_arrival(a_trade(None, body="sha"))),
        ledger.admit(an_arrival(a_trade("RPM-3"))),
        ledger.admit(an_arrival(a_trade("RPM-3"))),
    )
    assert [admission.admittance for admission in repeats] == [
        Admittance.REPEAT,
        Admittance.REPEAT,
        Admittance.NEW,
        Admittance.REPEAT,
    ]
    assert [admission.execution for admission in repeats[:2]] == [first, bodily]
    assert repeats[2].execution == repeats[3].execution


async def test_who_asks_again_while_the_trade_is_open_gets_a_copy_too(ledger: PostgresLedger, looks: Looks) -> None:
    execution = await begun(ledger, "RPM-1")
    again = a_message(reply_to="another desk", correlation_id="theirs")
    await ledger.admit(an_arrival(a_trade("RPM-1"), again))

    execution = await ledger.record(accepted(await ledger.record(written_ahead(execution))))
    await ledger.record(filled(execution, 2))

    rows = await ledger.outbox.pending(10)
    assert [row.message.routing_key for row in rows][1:] == ["desk", "another desk"]
    assert looks != []


async def _halted_for_a_moment(desk: Operator) -> None:
    await halt(desk, "main", reason="news", by="ann")
    await resume(desk, "main", reason="over", by="ann")


COMMANDS: dict[str, Callable[[Operator], Awaitable[object]]] = {
    "halt": lambda desk: halt(desk, "main", reason="news", by="ann", symbols=["GBPUSD"]),
    "halt and resume": _halted_for_a_moment,
    "replay": lambda desk: replay(desk, LETTER.letter_id, AN_ORDER),
    "discard": lambda desk: move(desk, Move(DISCARD, "ann", "a test"), [LETTER.letter_id]),
    "republish": lambda desk: republish(desk, "main", NOON, NOON + timedelta(days=9999), by="ann"),
}


@pytest.mark.parametrize("name", COMMANDS)
async def test_what_an_operator_does_between_two_commits_is_seen(
    ledger: PostgresLedger, desk: Operator, database: Connection, looks: Looks, name: str
) -> None:
    await ledger.take_in(LETTER, None)
    execution = await begun(ledger, "RPM-1")
    looks.clear()

    await COMMANDS[name](desk)
    await ledger.record(written_ahead(execution))

    assert looks == ["main"]
    assert (await traces_in(database))["events"][-1] == "submitting"  # and the chain holds


@pytest.mark.parametrize("by_hand", [False, True])
async def test_nothing_is_written_ahead_after_a_halt(
    ledger: PostgresLedger, desk: Operator, database: Connection, *, by_hand: bool
) -> None:
    execution = await begun(ledger, "RPM-1")

    if by_hand:  # without an event, as nobody should
        await database.execute(
            "update ledger.accounts set halted = true, halt_reason = 'news', halted_by = 'ann', halted_at = now()"
        )
    else:
        await halt(desk, "main", reason="news", by="ann")

    with pytest.raises(HaltedAtCommit):
        await ledger.record(written_ahead(execution))
    assert (await traces_in(database))["attempts"] == 1  # the practice's


async def test_a_worker_that_was_replaced_writes_nothing(ledger: PostgresLedger, database: Connection) -> None:
    execution = await begun(ledger, "RPM-1")
    await database.execute("update ledger.accounts set lease_epoch = lease_epoch + 1, lease_holder = 'host:2'")
    before = await traces_in(database)

    with pytest.raises(LeaseLost):
        await ledger.record(written_ahead(execution))

    assert await traces_in(database) == before


async def test_a_step_that_does_not_follow_is_refused(
    ledger: PostgresLedger, database: Connection, looks: Looks
) -> None:
    execution = await begun(ledger, "RPM-1")
    await ledger.record(written_ahead(execution))
    before = await traces_in(database)

    with pytest.raises(StaleRevision):
        await ledger.record(written_ahead(execution))

    assert looks == []
    assert await traces_in(database) == before


async def test_new_tokens_come_from_a_namespace_that_another_account_s_worker_has_begun(
    ledger: PostgresLedger, database: Connection
) -> None:
    first = await begun(ledger, "RPM-1")
    await database.execute(
        "insert into ledger.namespaces select number + 1, namespace % 2000000 + 1, system_identifier, timeline, "
        "storage, now() from ledger.namespaces"
    )

    second = await begun(ledger, "RPM-2")

    assert namespace_of(second.token) == namespace_of(first.token) % 2_000_000 + 1


async def test_what_an_operator_attested_is_seen_when_the_broker_shows_it(
    ledger: PostgresLedger, database: Connection, looks: Looks
) -> None:
    owner, execution = await begun(ledger, "RPM-1"), await begun(ledger, "RPM-2")
    execution = await ledger.record(accepted(await ledger.record(written_ahead(execution))))
    deal = a_deal(execution, 7)
    await database.execute(
        "insert into ledger.deals (account, deal_id, execution_id, lots, units, attested_by) "
        "values ('main', %s, %s, 1, 100000, 'ann')",
        [deal.deal_id, owner.execution_id],
    )

    await ledger.record(filled(execution, deal.deal_id))

    assert looks == ["main"]
    assert "alert" in (await traces_in(database))["events"]


CHANGES = [
    "lease_epoch = lease_epoch + 1",
    "lease_holder = 'host:2'",
    "lease_holder = null",
    "audit_sequence = audit_sequence - 1",
    "audit_hash = repeat('0', 64)",
    "last_batch = gen_random_uuid()",
    "last_batch = null",
    "halted = true, halt_reason = 'news', halted_by = 'ann', halted_at = now()",
    """symbol_halts = '{"EURUSD": {"reason": "news", "by": "ann", "at": "2026-01-05", "hold": false}}'""",
    "account = 'renamed'",
]


async def test_an_account_that_is_not_as_it_was_left_is_not_moved_as_foreseen(ledger_url: str) -> None:
    name = {"account": "main"}
    async with await connect(ledger_url, "test", PERSON_SESSION) as connection:
        await connection.execute(
            "insert into ledger.accounts (account, lease_epoch, lease_holder, audit_sequence, audit_hash, last_batch) "
            "values ('main', 3, 'host:1', 7, 'head', %s)",
            [signature := uuid4()],
        )
        foreseen = {"epoch": 3, "holder": "host:1", "sequence": 7, "hash": "head", "batch": signature, "deals": []}
        head = {"sequence": 7, "hash": "head", "batch": signature}  # it stays where it is
        call = ("move_as_foreseen", name | foreseen | {"namespace": None, **{f"next_{key}": head[key] for key in head}})
        await round_trip(connection, [call])  # it is as foreseen

        for change in CHANGES:
            async with connection.transaction(force_rollback=True):
                await connection.execute(f"update ledger.accounts set {change}".encode())  # noqa: S608 - ours
                with pytest.raises(errors.DatabaseError, match="not as foreseen"):
                    await round_trip(connection, [call])

        # A batch of which it is not known whether it stands never will, once it was read back and did not.
        await round_trip(connection, [("read_back_batch", name | {"batch": signature})])
        await round_trip(connection, [call])
        await round_trip(connection, [("read_back_batch", name | {"batch": uuid4()})])
        with pytest.raises(errors.DatabaseError, match="not as foreseen"):
            await round_trip(connection, [call])


async def _an_admission(ledger: PostgresLedger, order_id: str, _deal_id: int) -> Awaitable[object]:
    return ledger.admit(an_arrival(a_trade(order_id), a_message(reply_to="desk")))


async def _a_write_ahead(ledger: PostgresLedger, order_id: str, _deal_id: int) -> Awaitable[object]:
    return ledger.record(written_ahead(await begun(ledger, order_id)))


async def _a_fill(ledger: PostgresLedger, order_id: str, deal_id: int) -> Awaitable[object]:
    sent = await ledger.record(written_ahead(await begun(ledger, order_id)))
    return ledger.record(filled(await ledger.record(accepted(sent)), deal_id))


STEPS: dict[str, Callable[[PostgresLedger, str, int], Awaitable[Awaitable[object]]]] = {
    "admission": _an_admission,
    "write-ahead": _a_write_ahead,
    "fill": _a_fill,
}


@pytest.mark.parametrize("moment", POSTGRES_MOMENTS, ids=str)
async def test_a_commit_whose_answer_is_lost_leaves_what_an_undisturbed_one_leaves(
    services: Services, ledger_url: str, database: Connection, looks: Looks, moment: Moment
) -> None:
    # Given two ledgers that foresee, one of them behind a wire that can be cut
    name = f"twin_{secrets.token_hex(4)}"
    twin_url = services.new_database(name)
    await migrate(twin_url)
    with Proxy(ledger_url) as wire:
        wired, twin = [
            await PostgresLedger.open(url, account="main", worker_id="host:1", clock=RealClock())
            for url in (wire.url, twin_url)
        ]
        async with await connect(twin_url, "test", PERSON_SESSION) as database_of_twin:
            for ledger in (wired, twin):
                await ledger.lead()

            # When the answer to a commit of each kind is lost
            for number, kind in enumerate(STEPS):
                for ledger in (wired, twin):
                    await practised(ledger, 2 * number + 1)
                    step = await STEPS[kind](ledger, f"RPM-{kind}", 100 + number)
                    await practised(ledger, 2 * number + 2)
                    looks.clear()
                    if ledger is wired:
                        wire.cut_at(moment)
                    await step
                    assert looks == (["main"] if ledger is wired and moment is not COMMITTED else [])

                # Then both hold the same
                assert wire.fired.pop(moment) == 1
                assert _in_any_order(await traces_in(database)) == _in_any_order(await traces_in(database_of_twin))
        for ledger in (wired, twin):
            await ledger.close()
    services.drop_database(name)


@pytest.mark.parametrize("way", ["terminated", "left alone"])
async def test_a_commit_that_waits_for_the_account_s_row_without_its_worker_happens_once(
    ledger_url: str, database: Connection, way: str
) -> None:
    with Proxy(ledger_url) as wire:
        ledger = await PostgresLedger.open(wire.url, account="main", worker_id="host:1", clock=RealClock())
        await ledger.lead()
        await practised(ledger)
        execution = await begun(ledger, "RPM-1")

        # Given a commit that has left as a whole, and waits for somebody who has the account's row
        async with database.transaction():
            await database.execute("select from ledger.accounts for update")
            recording = asyncio.create_task(ledger.record(written_ahead(execution)))
            await _until_somebody_waits(database)

            # When its worker loses the connection, and PostgreSQL may not have noticed
            if way == "terminated":
                await database.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and wait_event_type = 'Lock'"
                )
            else:
                wire.cut()

        # Then it is written once, and answered as what it was
        assert (await recording).revision == execution.revision + 1
        assert (await traces_in(database))["events"].count("submitting") == 2  # one of them the practice's
        await ledger.close()


async def _until_somebody_waits(database: Connection) -> None:
    waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    while (await database.execute(waiting)).rowcount == 0:
        await database.execute("select pg_stat_clear_snapshot()")
        await asyncio.sleep(0.02)


def _in_any_order(traces: dict[str, Any]) -> dict[str, Any]:
    """Return the same whatever the order of executions that arrived at the same time."""
    return {**traces, "executions": sorted(traces["executions"], key=str)}


def _lives(traces: dict[str, Any]) -> list[list[str]]:
    """Return the events of each trade, after the account's own."""
    events = [event for event in traces["events"] if event != "database_recognised"]
    starts = [place for place, event in enumerate(events) if event == "received"]
    return [events[: starts[1]], *(events[a:b] for a, b in zip(starts[1:], [*starts[2:], len(events)], strict=True))]
