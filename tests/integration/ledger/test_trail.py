"""Whatever somebody with the owner's rights does to the trail is found, and where."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.ledger.stories import RealClock, a_trade, an_arrival, rejected
from worker.domain.errors import NotFound
from worker.ledger import trail
from worker.ledger.audit import AuditRow, Fault, Witness, seal
from worker.ledger.connection import Connection
from worker.ledger.encoding import as_row
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import Operator, operator
from worker.ledger.trail import Selection, chain_ends, chains, events, verify
from worker.ports import Anchor, Event

pytestmark = pytest.mark.services

EXECUTIONS = 4
LAST_SAID = "the account's own row says that event {} is the last one"


@pytest.fixture
async def desk(ledger_url: str) -> AsyncIterator[Operator]:
    async with operator(ledger_url, RealClock()) as desk:
        yield desk


@pytest.fixture
async def owner(ledger_url: str, database: Connection) -> Connection:
    """Let a worker fill the trail and end; then switch off what protects it: only the owner can."""
    ledger = await PostgresLedger.open(ledger_url, account="main", worker_id="host:1", clock=RealClock())
    await ledger.lead()
    for number in range(EXECUTIONS):
        await ledger.record(rejected((await ledger.admit(an_arrival(a_trade(f"RPM-{number}")))).execution))
    await ledger.close()
    await database.execute("alter table ledger.audit_events disable trigger user")
    return database


@pytest.fixture
async def last(owner: Connection) -> int:
    return int((await _rows(owner, "select max(sequence) from ledger.audit_events"))[0]["max"])


async def test_a_trail_that_nobody_touched_holds(desk: Operator, owner: Connection, last: int) -> None:
    steps: list[tuple[int, int]] = []

    verdict = await verify(desk, "main", await _copies(owner), lambda done, of: steps.append((done, of)))

    assert (verdict.account, verdict.head.sequence, verdict.witnesses) == ("main", last, EXECUTIONS)
    assert verdict.fault is None
    assert steps == [(number, last) for number in range(1, last + 1)]


async def test_a_trail_of_many_pages_is_read_whole(
    desk: Operator, owner: Connection, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "PAGE", 3)
    [stored] = await _rows(owner, "select count(*) from ledger.audit_events")

    assert stored["count"] == last
    assert (await verify(desk, "main", [])).head.sequence == last
    assert [row.sequence async for row in events(desk, "main", await chain_ends(desk, "main"))] == list(
        range(1, last + 1)
    )


@pytest.mark.parametrize("column", ["at", "payload"])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
async def test_a_changed_value_is_found_at_its_event(
    desk: Operator, owner: Connection, last: int, column: str, place: str
) -> None:
    sequence = {"first": 1, "middle": last // 2, "last": last}[place]
    await owner.execute(
        f"update ledger.audit_events set {column} = coalesce({column}, '') || ' ' where sequence = {sequence}"  # noqa: S608 - ours
    )

    verdict = await verify(desk, "main", [])

    assert verdict.fault is not None
    assert verdict.fault.sequence == sequence
    assert verdict.head.sequence == sequence - 1


@pytest.mark.parametrize("place", ["first", "middle"])
async def test_a_deleted_event_is_named_as_missing(desk: Operator, owner: Connection, last: int, place: str) -> None:
    sequence = {"first": 1, "middle": last // 2}[place]
    await owner.execute("delete from ledger.audit_events where sequence = %s", (sequence,))

    fault = (await verify(desk, "main", [])).fault

    assert fault == Fault("main", sequence, f"event {sequence} is missing: the next one is event {sequence + 1}")


async def test_an_end_that_was_cut_off_is_named_as_missing(desk: Operator, owner: Connection, last: int) -> None:
    await owner.execute("delete from ledger.audit_events where sequence > %s", (last - 2,))

    fault = (await verify(desk, "main", [])).fault

    assert fault == Fault("main", last - 1, f"events {last - 1} to {last} are missing: {LAST_SAID.format(last)}")


async def test_a_trail_that_was_deleted_whole_is_missing(desk: Operator, owner: Connection, last: int) -> None:
    await owner.execute("delete from ledger.audit_events")

    fault = (await verify(desk, "main", [])).fault

    assert fault == Fault("main", 1, f"events 1 to {last} are missing: {LAST_SAID.format(last)}")


async def test_an_added_event_is_found(desk: Operator, owner: Connection, last: int) -> None:
    await _add(owner, await _row(owner, last))

    fault = (await verify(desk, "main", [])).fault

    assert fault == Fault("main", last + 1, f"event {last + 1} was added: {LAST_SAID.format(last)}")


@pytest.mark.parametrize("distance", [1, 2])
async def test_an_added_event_that_does_not_follow_is_found(
    desk: Operator, owner: Connection, last: int, distance: int
) -> None:
    stranger = seal("main", Anchor(last + distance - 1, "f" * 64), Event("x", {}), datetime.now(UTC))
    await _insert(owner, stranger)

    fault = (await verify(desk, "main", [])).fault

    assert fault is not None
    assert fault.sequence == last + 1


async def test_an_event_before_all_others_is_found(desk: Operator, owner: Connection) -> None:
    await owner.execute("alter table ledger.audit_events drop constraint audit_events_sequence_check")
    await _insert(owner, seal("main", Anchor(-8, "f" * 64), Event("x", {}), datetime.now(UTC)))

    fault = (await verify(desk, "main", [])).fault

    assert fault == Fault("main", -7, "event -7 was added, or moved: it comes after event 0")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            "audit_hash = repeat('0', 64)",
            "event {last} was replaced, or the account's own row changed: it names another hash",
        ),
        ("audit_sequence = audit_sequence + 1", "event {next} is missing: " + LAST_SAID.format("{next}")),
        ("audit_sequence = audit_sequence - 1", "event {last} was added: " + LAST_SAID.format("{before}")),
    ],
)
async def test_a_changed_head_does_not_fit_the_trail(
    desk: Operator, owner: Connection, last: int, change: str, problem: str
) -> None:
    await owner.execute(f"update ledger.accounts set {change}")  # noqa: S608 - ours

    fault = (await verify(desk, "main", [])).fault

    assert fault is not None
    assert fault.problem == problem.format(last=last, next=last + 1, before=last - 1)
    assert last <= fault.sequence <= last + 1


async def test_an_end_cut_off_together_with_the_head_shows_in_subscribers_copies_only(
    desk: Operator, owner: Connection, last: int
) -> None:
    copies = await _copies(owner)
    newest = copies[-1].anchor.sequence
    await owner.execute("delete from ledger.audit_events where sequence >= %s", (newest,))
    await _set_head(owner, (await _row(owner, newest - 1)).anchor)

    assert (await verify(desk, "main", [])).fault is None

    fault = (await verify(desk, "main", copies)).fault
    assert fault is not None
    assert fault.problem.startswith(
        f"events {newest} to {newest + 1} are missing: confirmation {copies[-1].confirmation}"
    )
    assert last > newest


async def test_a_trail_rewritten_from_some_event_on_shows_in_subscribers_copies_only(
    desk: Operator, owner: Connection, last: int
) -> None:
    copies = await _copies(owner)
    touched = copies[1].anchor.sequence - 1
    await _rewrite(owner, touched, last)

    assert (await verify(desk, "main", [])).fault is None

    verdict = await verify(desk, "main", copies)
    assert verdict.fault is not None
    assert verdict.fault.sequence == copies[1].anchor.sequence  # the first copy from after the change
    assert copies[1].confirmation in verdict.fault.problem
    assert "rewritten" in verdict.fault.problem


async def test_every_account_has_a_chain_of_its_own(desk: Operator, owner: Connection) -> None:
    await owner.execute("insert into ledger.accounts (account) values ('empty')")
    await _insert(owner, seal("smuggled", Anchor(0, "0" * 64), Event("x", {}), datetime.now(UTC)))

    assert await chains(desk) == ["empty", "main", "smuggled"]
    assert await chains(desk, "main") == ["main"]
    assert (await verify(desk, "empty", [])).fault is None
    assert (await verify(desk, "smuggled", [])).fault == Fault(
        "smuggled", 1, f"event 1 was added: {LAST_SAID.format(0)}"
    )
    with pytest.raises(NotFound, match="no audit trail of account other: it has empty, main, smuggled"):
        await chains(desk, "other")


async def test_a_window_of_the_trail_is_read_as_it_is_stored(desk: Operator, owner: Connection, last: int) -> None:
    stored = [await _row(owner, sequence) for sequence in range(1, last + 1)]
    first, late = (datetime.fromisoformat(stored[place].at) for place in (0, -1))

    async def window(since: datetime | None, until: datetime | None) -> list[AuditRow]:
        wanted = Selection(since=since, until=until)
        return [row async for row in events(desk, "main", await chain_ends(desk, "main"), wanted)]

    assert await window(first, late + timedelta(microseconds=1)) == stored
    assert await window(None, late) == [row for row in stored if row.at < stored[-1].at]
    assert await window(late + timedelta(seconds=1), None) == []


async def _rows(connection: Connection, query: str, *values: object) -> list[dict[str, Any]]:
    return await (await connection.execute(query, values)).fetchall()


async def _row(connection: Connection, sequence: int) -> AuditRow:
    query = "select * from ledger.audit_events where account = 'main' and sequence = %s"
    [row] = await _rows(connection, query, sequence)
    return AuditRow(**row)


async def _copies(connection: Connection) -> list[Witness]:
    """Return what subscribers keep, in the order in which they got it."""
    rows = await _rows(connection, "select message_id, body from ledger.confirmations order by created_at")
    told = [(row["message_id"], json.loads(row["body"])["audit"]) for row in rows]
    return [Witness(Anchor(audit["sequence"], audit["hash"]), name) for name, audit in told]


async def _add(connection: Connection, after: AuditRow) -> None:
    await _insert(connection, seal("main", after.anchor, Event("x", {}), datetime.now(UTC)))


async def _insert(connection: Connection, row: AuditRow) -> None:
    await connection.execute(
        "insert into ledger.audit_events values (%s, %s, %s, %s, %s, %s, %s, %s, %s)", list(as_row(row).values())
    )


async def _set_head(connection: Connection, head: Anchor) -> None:
    values = (head.sequence, head.hash)
    await connection.execute("update ledger.accounts set audit_sequence = %s, audit_hash = %s", values)


async def _rewrite(connection: Connection, first: int, last: int) -> None:
    """Replace an event, and make everything after it follow from it: every hash, and the account's head."""
    head = (await _row(connection, first - 1)).anchor
    for sequence in range(first, last + 1):
        old = await _row(connection, sequence)
        actor = "nobody" if sequence == first else old.actor
        new = seal("main", head, Event(old.kind, json.loads(old.payload), None, actor), datetime.now(UTC))
        await connection.execute("delete from ledger.audit_events where sequence = %s", (sequence,))
        await _insert(connection, new)
        head = new.anchor
    await _set_head(connection, head)
