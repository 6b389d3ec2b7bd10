"""Orders at the broker that the ledger never wrote down: the account stops, a person is told, tokens begin anew."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import pytest
from psycopg.sql import SQL, Identifier

from ops.services import Services
from ops.services.isolation import with_path
from tests.fixtures.chain import first_fault
from tests.integration.ledger.conftest import OpenLedger
from tests.integration.ledger.stories import NOON, RealClock, a_trade, an_arrival, rejected, written_ahead
from worker.domain.errors import HaltedAtCommit
from worker.domain.evidence import Evidence
from worker.domain.execution import Attempt, Execution, State
from worker.domain.market import BrokerDeal, BrokerOrder, OrderState
from worker.domain.token import ATTEMPT_BITS, COUNTER_BITS, attempt_token, base_token, namespace_of, trade_of
from worker.ledger.audit import AuditRow
from worker.ledger.connection import PERSON_SESSION, Connection, connect
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import halt, operator, resume
from worker.ledger.statements import sql
from worker.pipeline.late import LateEvidence
from worker.pipeline.settle import Settler
from worker.ports import Orphan

pytestmark = pytest.mark.services

T = TypeVar("T")


def an_orphan(counter: int = 900, ticket: int = 7001, namespace: int = 77) -> Orphan:
    return Orphan(attempt_token(base_token(namespace, counter), 1), ticket, "EURUSD")


async def test_an_order_of_an_attempt_is_no_orphan(ledger: PostgresLedger, open_ledger: OpenLedger) -> None:
    other = await open_ledger("other", "host:2")
    ahead = written_ahead((await other.admit(an_arrival(a_trade(account="other")))).execution)
    await other.record(ahead)
    assert ahead.attempt is not None

    assert await ledger.report_orphans([Orphan(ahead.attempt.magic, 7001, "EURUSD")]) == []
    assert await ledger.report_orphans([]) == []
    assert not list(ledger.halts)
    assert len(ledger.namespaces) == 1


async def test_orphans_halt_the_account_and_say_what_to_do(ledger: PostgresLedger, database: Connection) -> None:
    execution = (await ledger.admit(an_arrival())).execution
    orphans = [an_orphan(900 + number, 7000 + number) for number in range(7)]

    assert await ledger.report_orphans([*orphans, orphans[0]]) == orphans

    assert str(ledger.halts.account) == (
        "halted by worker: the broker has 7 orders under a token of this ledger that it never wrote down (ticket 7000, "
        "7001, 7002, 7003, 7004 and 2 more): the ledger was restored from an older copy, or another worker writes "
        "elsewhere, and trades may have been executed that it does not know; compare broker and ledger, then "
        "`mt5-worker resume`"
    )
    with pytest.raises(HaltedAtCommit):
        await ledger.record(written_ahead(execution))
    trail = await _trail(database)
    assert first_fault(trail) is None
    assert [row.kind for row in trail][-2:] == ["alert", "halted"]
    alert = json.loads(trail[-2].payload)
    assert (alert["alert"], len(alert["orders"])) == ("orphans", 7)
    assert alert["orders"][6] == {"ticket": "7006", "token": str(orphans[6].magic), "symbol": "EURUSD"}


async def test_an_orphan_halts_the_account_once(ledger: PostgresLedger, ledger_url: str, database: Connection) -> None:
    await ledger.report_orphans([an_orphan(1)])
    async with operator(ledger_url, RealClock()) as desk:
        await resume(desk, "main", reason="they are ours: restored on Monday", by="ann")
    before = await _trail(database)

    assert await ledger.report_orphans([an_orphan(1)]) == []
    assert await _trail(database) == before

    assert await ledger.report_orphans([an_orphan(1), an_orphan(2, 7002)]) == [an_orphan(2, 7002)]
    assert "has 1 order under" in str(ledger.halts.account)


async def test_a_halt_that_stood_before_can_still_be_read(ledger: PostgresLedger, ledger_url: str) -> None:
    async with operator(ledger_url, RealClock()) as desk:
        await halt(desk, "main", reason="news at noon", by="ann")

    await ledger.report_orphans([an_orphan(1)])
    first = str(ledger.halts.account)
    await ledger.report_orphans([an_orphan(2)])

    assert first is not None
    assert first.startswith("halted by worker: the broker has 1 order")
    assert first.endswith("(before that halted by ann: news at noon)")
    assert str(ledger.halts.account) == first


async def test_after_orphans_every_worker_of_the_database_takes_tokens_from_a_new_namespace(
    ledger: PostgresLedger, open_ledger: OpenLedger
) -> None:
    other = await open_ledger("other", "host:2")
    old = ledger.namespaces
    assert ledger.known_since is None

    await ledger.report_orphans([an_orphan()])

    (new,) = ledger.namespaces - old
    for number, (account, worker) in enumerate([("main", ledger), ("other", other)]):
        trade = a_trade(f"RPM-{number}", account=account)
        assert namespace_of((await worker.admit(an_arrival(trade))).execution.token) == new
        assert worker.namespaces == old | {new}
    third = await open_ledger("third", "host:3")
    assert third.namespaces == old | {new}
    # And of the account that they belong to something is missing until now; the others have lost none
    missed_until = ledger.known_since
    assert missed_until is not None
    await ledger.close()
    assert (await open_ledger(worker_id="host:4")).known_since == missed_until
    assert third.known_since is other.known_since is None


async def test_a_trade_that_was_refused_though_the_lost_part_of_the_ledger_had_sent_it_is_corrected(
    ledger: PostgresLedger,
) -> None:
    # Given a trade that a restored ledger knows, and has refused, as the broker's history was late to show its order
    execution = await ledger.record(rejected((await ledger.admit(an_arrival())).execution))
    magic, lot = attempt_token(execution.token, 2), Decimal("1.00")
    seen = Evidence()
    seen.add_order(BrokerOrder(7, magic, "EURUSD", OrderState.FILLED, lot, Decimal(0), 70, "", historical=True))
    seen.add_deal(BrokerDeal(9, 7, magic, 70, "EURUSD", lot, Decimal("1.1"), Decimal(0), Decimal(0), NOON, ""))

    # When it is shown, then the account is halted, and the trade is confirmed as the broker has it
    await LateEvidence(ledger, Settler(ledger, RealClock(), "host:1")).take({execution.token: seen})

    corrected = await ledger.find_by_token(execution.token)
    assert corrected is not None
    assert (corrected.state, corrected.version, corrected.attempts) == (State.FILLED, 2, 2)
    assert [deal.units for deal in corrected.deals] == [execution.trade.decision.units]
    attempt = await ledger.latest_attempt(execution.execution_id)
    assert (attempt.magic, attempt.outcome) == (magic, "found")
    assert "has 1 order under a token" in str(ledger.halts.account)


@pytest.mark.parametrize("unnoticed", [False, True], ids=["dumped and loaded", "disk and all"])
async def test_a_ledger_restored_from_an_older_copy_never_gives_a_token_twice(
    ledger_url: str, services: Services, *, unnoticed: bool
) -> None:
    # Given a trade that was sent after the ledger had been copied
    await _lead(ledger_url, lambda ledger: ledger.admit(an_arrival(a_trade("RPM-1"))))
    await _copy(ledger_url, f"{ledger_url}_copy")
    sent = await _lead(ledger_url, lambda ledger: _send(ledger, "RPM-2"))

    # When the copy takes the ledger's place, and a worker sees the order of that trade at the broker
    services.drop_database(ledger_url.rpartition("/")[2])
    await _copy(f"{ledger_url}_copy", ledger_url)
    services.drop_database(f"{ledger_url}_copy".rpartition("/")[2])
    if unnoticed:
        await _hide_the_change(ledger_url)
    orphan = Orphan(sent.magic, 7001, "EURUSD")

    async def look_and_trade(ledger: PostgresLedger) -> tuple[Sequence[Orphan], str, Execution]:
        found = await ledger.report_orphans([orphan])
        return found, str(ledger.halts.account), (await ledger.admit(an_arrival(a_trade("RPM-3")))).execution

    found, halted, execution = await _lead(ledger_url, look_and_trade)

    # Then the account is halted, and the next trade's token was never given, though its counter was
    assert found == [orphan]
    assert "has 1 order under a token" in halted
    assert ("another copy than before (storage" in halted) is not unnoticed
    assert namespace_of(execution.token) != namespace_of(sent.magic)
    assert _counter(execution.token) == _counter(sent.magic)


async def _send(ledger: PostgresLedger, order_id: str) -> Attempt:
    change = written_ahead((await ledger.admit(an_arrival(a_trade(order_id)))).execution)
    await ledger.record(change)
    assert change.attempt is not None
    return change.attempt


async def _lead(url: str, work: Callable[[PostgresLedger], Awaitable[T]]) -> T:
    ledger = await PostgresLedger.open(url, account="main", worker_id="host:1", clock=RealClock())
    await ledger.lead()
    try:
        return await work(ledger)
    finally:
        await ledger.close()


async def _copy(source: str, target: str) -> None:
    async with await connect(with_path(source, "postgres"), "test", PERSON_SESSION) as owner:
        names = [Identifier(url.rpartition("/")[2]) for url in (target, source)]
        await owner.execute(SQL("create database {} template {}").format(*names).as_bytes(owner))


async def _hide_the_change(url: str) -> None:
    """Make it look as if the copy were in the very place of the original."""
    async with await connect(url, "test", PERSON_SESSION) as owner:
        for table in ("accounts", "namespaces"):
            update = f"update ledger.{table} set system_identifier = i, timeline = t, storage = s"  # noqa: S608 - ours
            await owner.execute(update.encode() + b" from (" + sql("database_identity") + b") as present (i, t, s)")


async def _trail(database: Connection) -> list[AuditRow]:
    cursor = await database.execute("select * from ledger.audit_events where account = 'main' order by sequence")
    return [AuditRow(**row) for row in await cursor.fetchall()]


def _counter(token: int) -> int:
    return (trade_of(token) >> ATTEMPT_BITS) % (1 << COUNTER_BITS)
