"""How a connection to PostgreSQL is made: its limits, its manners, and what is said when it cannot be had."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq.abc import PGconn
from psycopg.rows import AsyncRowFactory, DictRow, dict_row
from psycopg.types.json import set_json_loads

from worker.domain.errors import LedgerUnavailable, WrongSetting
from worker.ledger.statements import sql


class Connection(AsyncConnection[DictRow]):
    """A connection that knows which statements it has prepared."""

    def __init__(self, pgconn: PGconn, row_factory: AsyncRowFactory[DictRow] = dict_row) -> None:
        super().__init__(pgconn, row_factory)
        self.prepared: set[str] = set()

    def has_prepared(self, names: Iterable[str]) -> bool:
        """Tell whether all these statements have been prepared."""
        return self.prepared.issuperset(names)


# All shorter than the lease: whatever happens to a worker, no lock of its outlives its right to hold it.
_SERVER_LIMITS = {
    "timezone": "UTC",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "3s",
    "tcp_user_timeout": "3s",
}
_CLIENT_LIMITS = {
    "connect_timeout": "5",
    "tcp_user_timeout": "3000",
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "2",
    "target_session_attrs": "read-write",
}
# Every statement of a worker is a look-up by key. PostgreSQL plans each once, and would go on scanning whole tables if
# it had planned while they were small. A plan for any values is as good as one for these; one that looks dear, only for
# lack of statistics, must not be compiled to machine code first, which takes a quarter of a second each time.
WORKER_SESSION = {
    "statement_timeout": "4s",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}
# What a server says that answers and lets nobody in: libpq tells it by words alone.
_REFUSALS = ("authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist")
SETTLE_SECONDS = 5.0  # for the first words on a new connection
_UNWANTED_SECONDS = 1.0  # for a connection to be made that is only going to be closed
PERSON_SESSION = {"statement_timeout": "60s"}  # a look into history may take its time

_exactly = json.JSONDecoder(parse_float=Decimal)


def parameters(url: str, name: str, session: Mapping[str, str]) -> dict[str, Any]:
    """Return what to connect with. The URL wins, except for the server's limits, which the promise rests on."""
    try:
        given = {key: value for key, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError as error:
        raise WrongSetting(f"POSTGRES_URL: is not a PostgreSQL URL: {_without_the_url(str(error))}") from None
    wanted = {**_SERVER_LIMITS, **session}
    options = " ".join([str(given.pop("options", "")), *(f"-c {key}={value}" for key, value in wanted.items())])
    return {**_CLIENT_LIMITS, "application_name": name, **given, "options": options.strip()}


def _without_the_url(said: str) -> str:
    """Return what libpq complains of without the URL, which it likes to quote with its password."""
    return said.partition(': "')[0] if "://" in said else said.strip()


async def connect(url: str, name: str, session: Mapping[str, str]) -> Connection:
    """Open one connection, in autocommit. Raises psycopg.OperationalError while PostgreSQL does not answer."""
    arguments = parameters(url, name, session)
    # Cursors prepare nothing: what is prepared is `round_trip`'s, and they would throw it away after a rollback.
    opening = asyncio.ensure_future(Connection.connect(**arguments, autocommit=True, prepare_threshold=None))
    try:
        connection = await asyncio.shield(opening)
    except asyncio.CancelledError:
        await _close_unwanted(opening)
        raise
    try:
        with cut_off_after(SETTLE_SECONDS, connection):
            await settle_in(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _close_unwanted(opening: asyncio.Future[Connection]) -> None:
    """
    Let a connection that nobody waits for any more be made, and close it.

    Given up half-way it would stand until the garbage collector came, and PostgreSQL drops no database until then.
    """
    await asyncio.wait({opening}, timeout=_UNWANTED_SECONDS)
    if not opening.done():
        opening.cancel()
    elif not opening.cancelled() and opening.exception() is None:
        await opening.result().close()


def _exact_numbers(text: str | bytes) -> Any:
    return _exactly.decode(text.decode() if isinstance(text, bytes) else text)


async def settle_in(connection: Connection) -> None:
    """Read numbers in JSON exactly, and insist that a commit is on disk when it is answered."""
    set_json_loads(_exact_numbers, connection)
    await connection.execute(sql("insist_on_durable_commits"))


def warnings_of(connection: Connection) -> list[str]:
    """Return a list that the server's warnings go into: a commit with one may be missing on the standby."""
    heard: list[str] = []

    def listen(diagnostic: errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            heard.append(diagnostic.message_primary or "a warning without words")

    connection.add_notice_handler(listen)
    return heard


@contextmanager
def cut_off_after(seconds: float, connection: Connection) -> Iterator[None]:
    """
    Break the connection when the block takes longer; it fails then as if PostgreSQL had broken it.

    Limits of the server cannot help when its answers do not arrive: a wire of which only this end is left says nothing.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _cut_off, connection)
    try:
        yield
    finally:
        timer.cancel()


def _cut_off(connection: Connection) -> None:
    with suppress(psycopg.OperationalError, OSError):  # it is broken already
        wire = socket.socket(fileno=connection.fileno())
        try:
            wire.shutdown(socket.SHUT_RDWR)
        finally:
            wire.detach()  # closing it is libpq's business


@asynccontextmanager
async def connected_for_a_person(url: str, name: str) -> AsyncIterator[Connection]:
    """Connect for a command. Raises LedgerUnavailable with a sentence, also when the connection breaks under it."""
    try:
        async with await connect(url, name, PERSON_SESSION) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise unavailable(url, error) from None


def unavailable(url: str, error: Exception) -> LedgerUnavailable:
    """Say which PostgreSQL does not answer, or lets nobody in, and why."""
    given, why = conninfo_to_dict(url), " ".join(str(error).split())
    where = f"{given.get('host', 'localhost')}:{given.get('port', 5432)}, database {given.get('dbname', 'default')}"
    if any(refusal in why for refusal in _REFUSALS):
        todo = "Are user, password and database of POSTGRES_URL right?"
        return LedgerUnavailable(f"PostgreSQL refuses the connection ({where}): {why}. {todo}")
    return LedgerUnavailable(f"PostgreSQL does not answer ({where}): {why}. Is it running? Is POSTGRES_URL right?")
