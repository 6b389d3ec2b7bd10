"""The schema's versions: SQL files applied in order, each once, and a check that database and program fit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import structlog
from psycopg import errors
from psycopg.rows import DictRow

from worker.domain.errors import LedgerUnavailable, SchemaMismatch
from worker.ledger.connection import Connection, connected_for_a_person
from worker.ledger.statements import sql
from worker.ledger.transaction import transaction

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; `version` is the number that its file name starts with."""

    version: int
    name: str
    script: str

    @property
    def checksum(self) -> str:
        """Return the digest that shows whether the file was changed after it was applied."""
        return hashlib.sha256(self.script.encode()).hexdigest()


def all_migrations() -> Sequence[Migration]:
    """Return the program's migrations in their order."""
    found = [file for file in files(__package__).joinpath("migrations").iterdir() if file.name.endswith(".sql")]
    return [
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text("utf-8"))
        for file in sorted(found, key=lambda file: file.name)
    ]


async def migrate(url: str) -> Sequence[str]:
    """Bring the database up to date and return what was applied; several may try at the same time."""
    async with connected_for_a_person(url, "mt5-worker migrate") as connection:
        try:
            return await _migrate(connection)
        except errors.InsufficientPrivilege as error:
            raise LedgerUnavailable(
                f"this user may not change the schema: {error.diag.message_primary}. Migrate as the database's owner."
            ) from None


async def check(url: str) -> None:
    """Raise SchemaMismatch unless the database has exactly this program's schema."""
    async with connected_for_a_person(url, "mt5-worker check") as connection:
        await check_on(connection)


async def check_on(connection: Connection) -> None:
    """Do the same on a connection that is there already."""
    try:
        cursor = await connection.execute(sql("applied_migrations"))
        applied = {row["version"]: row for row in await cursor.fetchall()}
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        raise SchemaMismatch("the database has no ledger yet: run `mt5-worker db migrate`") from None
    except errors.InsufficientPrivilege:
        raise SchemaMismatch("this database user may not read the ledger: grant it the role mt5_worker") from None
    _compare(all_migrations(), applied)


async def _migrate(connection: Connection) -> Sequence[str]:
    await connection.execute(sql("lift_the_limits"))
    await connection.execute(sql("lock_migrations"))  # until the connection is closed
    await connection.execute(sql("prepare_for_migrations"))
    cursor = await connection.execute(sql("applied_migrations"))
    applied = {row["version"]: row for row in await cursor.fetchall()}
    missing = [migration for migration in all_migrations() if migration.version not in applied]
    _compare([migration for migration in all_migrations() if migration not in missing], applied)
    for migration in missing:
        await _apply(connection, migration)
    connection.add_notice_handler(lambda notice: _log.warning("migration", notice=notice.message_primary))
    await connection.execute(sql("grant_rights"))
    return [migration.name for migration in missing]


async def _apply(connection: Connection, migration: Migration) -> None:
    async with transaction(connection, "migrate"):
        await connection.execute(migration.script.encode())
        values = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
        await connection.execute(sql("record_migration"), values)
    _log.info("migration applied", name=migration.name)


def _compare(known: Sequence[Migration], applied: Mapping[int, DictRow]) -> None:
    ahead = sorted(set(applied) - {migration.version for migration in known})
    if ahead:
        raise SchemaMismatch(
            f"the database is ahead of this program (it has {applied[ahead[-1]]['name']}): use a newer mt5-worker"
        )
    behind = [migration.name for migration in known if migration.version not in applied]
    if behind:
        raise SchemaMismatch(
            f"the database is behind this program ({behind[0]} is missing): run `mt5-worker db migrate`"
        )
    changed = [migration.name for migration in known if migration.checksum != applied[migration.version]["checksum"]]
    if changed:
        raise SchemaMismatch(
            f"migration {changed[0]} was applied with another content than this program's: database and program do not "
            "belong together; restore the one or the other"
        )
