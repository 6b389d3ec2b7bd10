"""The schema is made once, whoever tries, and a program only works on the schema it was made for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from itertools import pairwise

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from ops.services import Services
from tests.faults.proxy import Proxy
from tests.faults.wire_formats import Moment, Towards
from tests.integration.ledger.conftest import user_of
from tests.integration.ledger.stories import RealClock, a_letter, an_arrival, rejected
from worker.domain.errors import LedgerUnavailable, Refused, SchemaMismatch, WrongSetting
from worker.domain.message import PublishResult
from worker.ledger.connection import PERSON_SESSION, Connection, connect
from worker.ledger.inspection import inspect, missing_rights
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import halt, operator, resume
from worker.ledger.schema import all_migrations, check, migrate
from worker.ledger.statements import all_statements

pytestmark = pytest.mark.services


async def test_an_empty_database_is_migrated_once(postgres_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="the database has no ledger yet: run `mt5-worker db migrate`"):
        await check(postgres_url)

    first, second = [await migrate(postgres_url) for _ in range(2)]

    assert (list(first), list(second)) == ([migration.name for migration in all_migrations()], [])
    await check(postgres_url)


def _is_a_question(message: bytes) -> bool:
    """Recognise a statement, but for the first one on every connection."""
    return message[:1] in {b"P", b"Q"} and b"set_config('synchronous_commit'" not in message


async def test_several_may_migrate_at_the_same_time(postgres_url: str) -> None:
    applied = await asyncio.gather(*(migrate(postgres_url) for _ in range(4)))

    assert sorted(len(names) for names in applied) == [0, 0, 0, len(all_migrations())]


async def test_databases_of_one_cluster_may_be_migrated_at_the_same_time(services: Services, postgres_url: str) -> None:
    names = [f"{postgres_url.rpartition('/')[2]}_{number}" for number in range(3)]
    urls = [services.new_database(name) for name in names]
    try:
        await asyncio.gather(*(migrate(url) for url in urls))
        await asyncio.gather(*(check(url) for url in urls))
    finally:
        for name in names:
            services.drop_database(name)


@pytest.mark.parametrize("ask", [check, migrate, inspect, missing_rights])
async def test_a_connection_that_breaks_under_a_question_is_an_outage_like_any_other(
    ledger_url: str, ask: Callable[[str], Awaitable[object]]
) -> None:
    with Proxy(ledger_url) as wire:
        wire.cut_at(Moment("question", Towards.SERVER, _is_a_question))

        with pytest.raises(LedgerUnavailable, match="PostgreSQL does not answer"):
            await ask(wire.url)

        assert wire.fired.total() == 1


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"dbname": "nowhere"}])
async def test_a_server_that_lets_nobody_in_is_not_said_to_be_away(ledger_url: str, wrong: dict[str, str]) -> None:
    with pytest.raises(LedgerUnavailable, match=r"refuses the connection .* password and database .* right") as refusal:
        await check(make_conninfo(ledger_url, **wrong))
    assert "Is it running" not in str(refusal.value)


async def test_a_migration_that_was_changed_afterwards_is_noticed(ledger_url: str, database: Connection) -> None:
    await database.execute("update ledger.migrations set checksum = 'x' where version = 1")

    with pytest.raises(SchemaMismatch, match="migration 0001_ledger was applied with another content"):
        await check(ledger_url)
    with pytest.raises(SchemaMismatch):
        await migrate(ledger_url)


async def test_a_database_that_is_ahead_or_behind_is_refused(ledger_url: str, database: Connection) -> None:
    await database.execute("insert into ledger.migrations values (9999, '9999_future', 'x')")
    with pytest.raises(SchemaMismatch, match=r"ahead of this program .it has 9999_future.: use a newer mt5-worker"):
        await check(ledger_url)

    newest = all_migrations()[-1]
    await database.execute("delete from ledger.migrations where version >= %s", [newest.version])
    with pytest.raises(
        SchemaMismatch, match=rf"behind this program .{newest.name} is missing.: run `mt5-worker db migrate`"
    ):
        await check(ledger_url)


def test_migrations_are_numbered_without_a_gap() -> None:
    versions = [migration.version for migration in all_migrations()]

    assert versions[0] == 1
    assert all(after == before + 1 for before, after in pairwise(versions))


async def test_every_statement_fits_the_schema(database: Connection) -> None:
    for name, statement in all_statements().items():
        if statement.startswith(b"do "):
            continue  # a block is checked when it runs
        numbered = SQL("prepare {} as ").format(Identifier(name)).as_bytes(database)
        await database.execute(numbered + _with_numbers(statement))


@pytest.mark.parametrize("url", ["postgresql://rpm:s3cret@[h/x", "postgresql://h/x?nonsense=1"])
async def test_a_url_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(WrongSetting, match="POSTGRES_URL: is not a PostgreSQL URL") as wrong:
        await check(url)
    assert "s3cret" not in str(wrong.value)


async def test_a_user_without_rights_is_told_what_to_do(ledger_url: str, database: Connection) -> None:
    url = await user_of(database, ledger_url, role=None)

    with pytest.raises(LedgerUnavailable, match=r"may not change the schema: .* Migrate as the database's owner"):
        await migrate(url)
    with pytest.raises(SchemaMismatch, match="may not read the ledger: grant it the role mt5_worker"):
        await check(url)


async def test_a_worker_needs_no_more_than_the_worker_s_role(ledger_url: str, database: Connection) -> None:
    url = await user_of(database, ledger_url, role="mt5_worker")

    ledger = await PostgresLedger.open(url, account="main", worker_id="host:1", clock=RealClock())
    await ledger.lead()
    await ledger.lease.bind("simulated", "Simulated-1", 1001)
    await ledger.lease.renew({})
    await ledger.record(rejected((await ledger.admit(an_arrival())).execution))
    await ledger.take_in(a_letter(), None)
    await ledger.outbox.mark({row.id: PublishResult.CONFIRMED for row in await ledger.outbox.pending(10)})
    assert await ledger.outbox.pending(10) == []
    await ledger.close()


async def test_an_operator_needs_no_more_than_the_operator_s_role(
    ledger_url: str, ledger: PostgresLedger, database: Connection
) -> None:
    await ledger.admit(an_arrival())
    url = await user_of(database, ledger_url, role="mt5_operator")

    async with operator(url, RealClock()) as desk:
        await halt(desk, "main", reason="a test", by="ann")
        await resume(desk, "main", reason="a test", by="ann")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await desk.connection.execute("update ledger.executions set body = ''")


async def test_an_operator_s_command_under_another_role_says_what_is_missing(
    ledger_url: str, ledger: PostgresLedger, database: Connection
) -> None:
    await ledger.admit(an_arrival())
    url = await user_of(database, ledger_url, role="mt5_auditor")

    with pytest.raises(Refused, match="needs the role mt5_operator; nothing was changed"):
        async with operator(url, RealClock()) as desk:
            await halt(desk, "main", reason="a test", by="ann")


async def test_an_auditor_can_only_look(ledger_url: str, ledger: PostgresLedger, database: Connection) -> None:
    await ledger.admit(an_arrival())
    url = await user_of(database, ledger_url, role="mt5_auditor")

    async with await connect(url, "test", PERSON_SESSION) as auditor:
        assert await (await auditor.execute("select * from ledger.audit_events")).fetchall()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await auditor.execute("insert into ledger.audit_events select * from ledger.audit_events")


def _with_numbers(statement: bytes) -> bytes:
    """Replace each named parameter by a number, as PREPARE wants them."""
    names: dict[str, int] = {}
    text = re.sub(r"%\((\w+)\)[sb]", lambda found: f"${names.setdefault(found[1], len(names) + 1)}", statement.decode())
    return text.replace("%%", "%").encode()
