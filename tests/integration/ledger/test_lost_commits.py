"""A commit without an answer: whatever was being written is found out, or is harmless to write again."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest

from ops.services import Services
from tests.faults.proxy import Proxy
from tests.faults.wire_formats import COMMITTED, POSTGRES_MOMENTS, Moment, Towards
from tests.integration.ledger.conftest import OpenLedger
from tests.integration.ledger.doings import LETTER, PREPARATIONS, Preparation, a_new_execution, traces_in
from tests.integration.ledger.stories import (
    AN_ORDER,
    RealClock,
    a_trade,
    accepted,
    an_arrival,
    written_ahead,
)
from worker.domain.errors import LeaseLost, LedgerUnavailable, Refused
from worker.domain.execution import Execution
from worker.ledger import silence
from worker.ledger.archive import DISCARD, Move, move
from worker.ledger.connection import PERSON_SESSION, Connection, connect
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import Operator, halt, operator, resume
from worker.ledger.replays import replay
from worker.ledger.schema import migrate
from worker.ports import Admission, Admittance, Watermark

pytestmark = pytest.mark.services

LOST = pytest.mark.parametrize("moment", POSTGRES_MOMENTS, ids=str)
RENEWALS = [
    Moment("renewal", Towards.SERVER, lambda message: b"lease_renewed_at = now()" in message),
    Moment("renewed", Towards.CLIENT, lambda message: message[:1] == b"C" and message[5:11] == b"UPDATE"),
]


@pytest.fixture
async def wired(ledger_url: str) -> AsyncIterator[tuple[Proxy, PostgresLedger]]:
    with Proxy(ledger_url) as wire:
        ledger = await PostgresLedger.open(wire.url, account="main", worker_id="host:1", clock=RealClock())
        await ledger.lead()
        yield wire, ledger
        await ledger.close()


@pytest.fixture
async def twin(services: Services) -> AsyncIterator[tuple[PostgresLedger, Connection]]:
    """Lead another ledger, on another database, whose wire is never cut."""
    name = f"twin_{secrets.token_hex(4)}"
    url = services.new_database(name)
    await migrate(url)
    ledger = await PostgresLedger.open(url, account="main", worker_id="host:1", clock=RealClock())
    await ledger.lead()
    async with await connect(url, "test", PERSON_SESSION) as database:
        yield ledger, database
    await ledger.close()
    services.drop_database(name)


@LOST
@pytest.mark.parametrize("preparation", PREPARATIONS, ids=lambda preparation: preparation.__name__)
async def test_a_commit_whose_answer_is_lost_leaves_what_an_undisturbed_one_leaves(
    wired: tuple[Proxy, PostgresLedger],
    twin: tuple[PostgresLedger, Connection],
    database: Connection,
    preparation: Preparation,
    moment: Moment,
) -> None:
    wire, ledger = wired
    other, database_of_other = twin
    undisturbed = await (await preparation(other))(other)

    doing = await preparation(ledger)
    wire.cut_at(moment)
    answer = await doing(ledger)

    assert wire.fired == {moment: 1}
    assert _kind_of(answer) == _kind_of(undisturbed)
    assert await traces_in(database) == await traces_in(database_of_other)


@LOST
async def test_many_admissions_in_one_commit_are_answered_as_what_they_were(
    wired: tuple[Proxy, PostgresLedger], moment: Moment
) -> None:
    wire, ledger = wired

    wire.cut_at(moment)
    admissions = await asyncio.gather(*(ledger.admit(an_arrival(a_trade(f"RPM-{n}"))) for n in range(20)))

    assert wire.fired == {moment: 1}
    assert [admission.admittance for admission in admissions] == [Admittance.NEW] * 20
    assert await ledger.open_executions() == [admission.execution for admission in admissions]


@LOST
@pytest.mark.parametrize("earlier", [0, 1], ids=["the lease", "the database's identity"])
async def test_a_lease_whose_commit_is_lost_is_held_by_one_worker_all_the_same(
    ledger_url: str, database: Connection, monkeypatch: pytest.MonkeyPatch, moment: Moment, earlier: int
) -> None:
    monkeypatch.setattr(silence, "LEASE_SECONDS", 0.8)
    commits = count()
    nth = replace(moment, is_it=lambda message: moment.is_it(message) and next(commits) == earlier)
    with Proxy(ledger_url) as wire:
        ledger = await PostgresLedger.open(wire.url, account="main", worker_id="host:1", clock=RealClock())

        wire.cut_at(nth)
        await ledger.lead()

        assert wire.fired == {nth: 1}
        await ledger.admit(an_arrival())
        assert len(ledger.namespaces) == 1
        await ledger.close()
    assert (await traces_in(database))["events"] == ["database_recognised", "lease_taken", "received", "lease_released"]


@pytest.mark.parametrize("moment", RENEWALS, ids=str)
async def test_a_renewal_whose_answer_is_lost_is_done_again(
    wired: tuple[Proxy, PostgresLedger], moment: Moment
) -> None:
    wire, ledger = wired
    ledger.compared(Watermark(newest_deal=9001))

    wire.cut_at(moment)
    await ledger.lease.renew({})

    assert wire.fired == {moment: 1}
    await ledger.admit(an_arrival())


async def test_what_operators_and_others_commit_meanwhile_does_not_hide_a_commit(
    wired: tuple[Proxy, PostgresLedger], ledger_url: str, database: Connection
) -> None:
    # Given a worker whose commit stands, which it does not know, and which cannot reach PostgreSQL for a while
    wire, ledger = wired
    change = written_ahead(await a_new_execution(ledger))
    wire.cut_at(COMMITTED)
    wire.refuse()
    recording = asyncio.create_task(ledger.record(change))
    await _until_written(database, change.after)

    # When an operator's commands and the worker of another account commit
    async with operator(ledger_url, RealClock()) as desk:
        await halt(desk, "main", reason="news", by="ann")
        await resume(desk, "main", reason="over", by="ann")
    other = await PostgresLedger.open(ledger_url, account="other", worker_id="host:2", clock=RealClock())
    await other.lead()
    await other.admit(an_arrival(a_trade(account="other")))
    await other.close()

    # Then the worker still finds its own
    wire.heal()
    assert await recording == change.after
    assert (await traces_in(database))["events"].count("submitting") == 1


async def test_a_successor_s_commits_do_not_make_the_old_worker_write_again(
    wired: tuple[Proxy, PostgresLedger], open_ledger: OpenLedger, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "LEASE_SECONDS", 0.8)
    wire, ledger = wired
    change = written_ahead(await a_new_execution(ledger))
    wire.cut_at(COMMITTED)
    wire.refuse()
    recording = asyncio.create_task(ledger.record(change))
    await _until_written(database, change.after)

    successor = await open_ledger(worker_id="host:2")
    assert await successor.open_executions() == [change.after]
    await successor.record(accepted(change.after))
    wire.heal()

    with pytest.raises(LeaseLost):
        await recording
    assert (await traces_in(database))["events"].count("submitting") == 1


@dataclass(frozen=True, slots=True)
class Command:
    """What an operator does, the event it leaves, and how many of them when it is done twice."""

    give: Callable[[Operator], Awaitable[Any]]
    event: str
    times_when_it_stands: int = 1


COMMANDS = [
    Command(lambda desk: halt(desk, "main", reason="news", by="ann"), "halting", 2),
    Command(lambda desk: move(desk, Move(DISCARD, "ann", "a test"), [LETTER.letter_id]), "letter_discarded"),
    Command(lambda desk: replay(desk, LETTER.letter_id, AN_ORDER), "replay_ordered"),
]


@LOST
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.event)
async def test_a_command_whose_commit_is_lost_says_so_and_may_be_given_again(
    ledger: PostgresLedger, ledger_url: str, database: Connection, command: Command, moment: Moment
) -> None:
    await ledger.take_in(LETTER, None)
    with Proxy(ledger_url) as wire:
        async with operator(wire.url, RealClock()) as desk:
            wire.cut_at(moment)
            with pytest.raises(LedgerUnavailable, match=r"did not confirm the change .*: it may stand or not"):
                await command.give(desk)

    async with operator(ledger_url, RealClock()) as desk:
        with suppress(Refused) if moment is COMMITTED else nullcontext():  # it stands already
            await command.give(desk)

    traces = await traces_in(database)
    assert traces["events"].count(command.event) == (command.times_when_it_stands if moment is COMMITTED else 1)
    assert traces["replays"] == (command.event == "replay_ordered")


async def test_a_caller_that_gives_up_does_not_undo_what_it_asked_for(ledger: PostgresLedger) -> None:
    impatient = asyncio.create_task(ledger.admit(an_arrival()))
    await asyncio.sleep(0)  # it has asked
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient

    again = await ledger.admit(an_arrival())

    assert again.admittance is Admittance.REPEAT


def _kind_of(answer: object) -> object:
    """Return what two answers to the same wish have in common."""
    match answer:
        case Execution():
            return answer.state, answer.revision
        case Admission():
            return answer.admittance, _kind_of(answer.execution)
    return answer


async def _until_written(database: Connection, execution: Execution) -> None:
    where = "select from ledger.executions where execution_id = %s and revision = %s"
    written = [execution.execution_id, execution.revision]
    while (await database.execute(where, written)).rowcount == 0:  # noqa: ASYNC110 - the database tells only if asked
        await asyncio.sleep(0.02)
