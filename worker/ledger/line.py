"""A line to PostgreSQL: one connection that is opened again whenever it breaks, for as long as it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
import structlog
from psycopg import errors
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from worker.domain.errors import LedgerUnavailable, WorkerError
from worker.ledger.connection import WORKER_SESSION, Connection, connect, cut_off_after, warnings_of
from worker.observability import Outage

T = TypeVar("T")

_log = structlog.get_logger()

_PASSES_BY_ITSELF = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.ReadOnlySqlTransaction,  # a standby that is not promoted yet
    errors.IdleInTransactionSessionTimeout,
    # What was prepared is gone, or does not fit its tables since a migration. A new connection prepares anew:
    errors.InvalidSqlStatementName,
    errors.DuplicatePreparedStatement,
    errors.FeatureNotSupported,  # "cached plan must not change result type" has no code of its own
)
_COMES_AGAIN = (errors.ProgramLimitExceeded, errors.StatementTooComplex)  # whoever sends the same values


FIRST_REST_SECONDS = 0.02  # for a server that has cut a connection; after that the pauses are random, and grow
QUIET_SECONDS = 3.0  # a refusal that lasts longer is told: a disk that is full, a lock that somebody holds
WORK_SECONDS = 10.0  # beyond the server's own limits: whoever has not answered by then does not answer


class CommitInDoubt(psycopg.OperationalError):
    """PostgreSQL answered a commit with a warning: it stands here, but perhaps not on the synchronous standby."""


def passes_by_itself(error: BaseException) -> bool:
    """Tell an outage, after which the same work succeeds, from a defect of the work."""
    return isinstance(error, _PASSES_BY_ITSELF) and not isinstance(error, _COMES_AGAIN)


class Line:
    """
    Runs work on a connection until it has succeeded, one piece at a time.

    Work may therefore run twice, also after a commit whose answer was lost: it must be harmless to repeat, or find out
    for itself what it has done. `outage` is shared by all lines to one server; `greet` is called with each new
    connection before anything else.
    """

    def __init__(
        self,
        url: str,
        name: str,
        outage: Outage,
        greet: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        self._url = url
        self._outage = outage
        self._name = name
        self._greet = greet
        self._connection: Connection | None = None
        self._warnings: list[str] = []
        self._was_connected = self._has_complained = False
        self._one_at_a_time = asyncio.Lock()

    async def run(self, work: Callable[[Connection], Awaitable[T]], *, within: float | None = None) -> T:
        """
        Return what the work returns; waits through outages, and raises what is not an outage.

        Work that takes longer than `within` seconds, or WORK_SECONDS, is begun again on a new connection.
        """
        try:  # by itself: what retrying takes is a tenth of a small commit
            return await self._run_in_turn(work, within)
        except Exception as error:
            if not passes_by_itself(error):
                raise
        return await self._run_again(work, within)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _run_again(self, work: Callable[[Connection], Awaitable[T]], within: float | None) -> T:
        await asyncio.sleep(FIRST_REST_SECONDS)
        retrying = AsyncRetrying(
            retry=retry_if_exception(passes_by_itself),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            before_sleep=self._say_again,
        )
        return await retrying(self._run_in_turn, work, within)

    async def _run_in_turn(self, work: Callable[[Connection], Awaitable[T]], within: float | None) -> T:
        async with self._one_at_a_time:
            return await self._run_once(work, within or WORK_SECONDS)

    async def _run_once(self, work: Callable[[Connection], Awaitable[T]], within: float) -> T:
        try:
            connection = await self._connected()
            with cut_off_after(within, connection):
                result = await work(connection)
            self._doubt_warnings()
            self._has_complained = False
        except BaseException as error:
            # Whatever state this left the connection in, a new one is clean.
            if not isinstance(error, WorkerError):
                await self.close()
            raise
        return result

    def _doubt_warnings(self) -> None:
        if self._warnings:
            raise CommitInDoubt("; ".join(self._warnings))

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            connection = await self._reach()
            self._outage.reconnects += self._was_connected
            self._was_connected = True
            self._warnings = warnings_of(connection)
            self._connection = connection
            if self._greet is not None:
                with cut_off_after(WORK_SECONDS, connection):
                    await self._greet(connection)
        return self._connection

    async def _reach(self) -> Connection:
        """Open a connection, and tell whether the server answers: one that was merely cut is no outage."""
        tried_at = time.monotonic()
        try:
            connection = await connect(self._url, self._name, WORKER_SESSION)
        except (psycopg.OperationalError, LedgerUnavailable) as error:
            self._outage.lost(str(error), tried_at)
            raise
        self._outage.back()
        return connection

    def _say_again(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        _log.debug("postgresql: trying again", line=self._name, error=str(error))
        if isinstance(error, psycopg.Error) and error.sqlstate and (state.seconds_since_start or 0) > QUIET_SECONDS:
            self._complain(error)

    def _complain(self, error: psycopg.Error) -> None:
        """Tell once of a server that answers and does not do the work: no outage says why nothing goes on."""
        if not self._has_complained:
            self._has_complained = True
            meaning = "what it refuses is tried until it succeeds; nothing is sent meanwhile"
            _log.error("postgresql refuses", line=self._name, why=str(error), code=error.sqlstate, meaning=meaning)
