"""
The group commit: all writes of an account's worker, in order, as few transactions as possible.

No timer: a batch is whatever was asked for while the previous batch was being committed. One wish alone is committed at
once, unless its caller is patient. The committer is a task of its own, so that a cancelled caller never leaves a
transaction half done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import structlog
from psycopg import errors

from worker.domain.errors import (
    IllegalTransition,
    LeaseLost,
    LedgerUnavailable,
    NotStorable,
    StaleRevision,
    WorkerError,
)
from worker.ledger.batch import HEAVY_SECONDS, MAX_BATCH_BYTES, Batch
from worker.ledger.foresight import Foresight
from worker.ledger.job import Job
from worker.ledger.line import Line
from worker.ledger.measured import tell
from worker.ledger.subject import about
from worker.ledger.tenure import Tenure
from worker.ledger.tray import Mail
from worker.metering import UNMETERED, Meter
from worker.ports import Clock

T = TypeVar("T")

MAX_BATCH = 256  # jobs; keeps a transaction well below the server's time limits

PATIENCE_SECONDS = 0.05  # of a patient wish, for a commit that goes out anyway

_log = structlog.get_logger()

_MEANINGS: dict[str, type[WorkerError]] = {  # raised by the schema's triggers
    "MW001": StaleRevision,
    "MW002": IllegalTransition,
}
_ABOUT_THE_VALUES = {"22", "23", "54"}  # classes of errors: wrong data, a constraint, more than a limit allows


@dataclass(slots=True)
class _Wish:
    """A job and the caller who waits for its answer."""

    job: Job[Any]
    answer: asyncio.Future[Any]
    alone: bool

    def grant(self, result: object) -> None:
        if self.answer.done():  # the caller has gone away
            return
        if isinstance(result, Exception):
            self.answer.set_exception(result)
            self.answer.exception()  # if its caller goes away now, asyncio is not to complain
        else:
            self.answer.set_result(result)


class Committer:
    """Takes jobs from any number of coroutines and answers each when its outcome is known."""

    def __init__(
        self, line: Line, tenure: Tenure, clock: Clock, on_mail: Callable[[Mail | None], None], meter: Meter = UNMETERED
    ) -> None:
        self._line = line
        self._tenure = tenure
        self._foresight = Foresight()
        self._clock = clock
        self._on_mail = on_mail
        self._meter = meter
        self._waiting: deque[_Wish] = deque()
        self._patient: list[_Wish] = []
        self._patience: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to commit."""
        self._task = asyncio.create_task(self._run(), name="ledger committer")

    async def submit(self, job: Job[T], *, alone: bool = False, patient: bool = False) -> T:
        """
        Return the job's answer once it is committed. Waits through outages; a cancelled caller cancels nothing.

        One that may move an execution without knowing which before it looks must be committed `alone`. A `patient` one
        joins the next commit of others, and has one of its own only when none comes within PATIENCE_SECONDS.
        """
        if self._closing or self._task is None:
            raise LedgerUnavailable("the ledger is closed: nothing was written")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        wish = _Wish(job, answer, alone)
        if patient:
            self._put_off(wish)
        else:
            self._waiting.append(wish)
            self._wake.set()
        return await answer

    async def close(self, *, drain: bool) -> None:
        """Commit what waits (as long as that takes), or give it up at once; what was not answered may be either."""
        self._closing = True
        self._hurry()
        if self._task is not None:
            if not drain:
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for wish in self._waiting:
            wish.grant(LedgerUnavailable("the ledger was closed before this was written"))

    async def _run(self) -> None:
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._answer(self._next_batch())

    def _put_off(self, wish: _Wish) -> None:
        if not self._patient:
            self._patience = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._hurry)
        self._patient.append(wish)

    def _hurry(self) -> None:
        """Let the patient wishes wait no longer."""
        self._waiting.extend(self._no_longer_patient())
        self._wake.set()

    def _no_longer_patient(self) -> list[_Wish]:
        if self._patience is not None:
            self._patience.cancel()
        taken, self._patient = self._patient, []
        return taken

    def _next_batch(self) -> list[_Wish]:
        # Two steps of one execution never share a batch: the schema checks each transition by itself.
        taken: list[_Wish] = []
        moved: set[UUID] = set()
        weight = 0
        while self._waiting and len(taken) < MAX_BATCH:
            steps, weight = self._waiting[0].job.steps, weight + self._waiting[0].job.weight
            if steps in moved or (taken and (weight > MAX_BATCH_BYTES or self._waiting[0].alone or taken[0].alone)):
                break
            if steps is not None:
                moved.add(steps)
            taken.append(self._waiting.popleft())
        return taken if taken[0].alone else taken + self._no_longer_patient()

    async def _answer(self, wishes: Sequence[_Wish], *, again: bool = False) -> None:
        batch = Batch([wish.job for wish in wishes], self._tenure, self._foresight, self._clock)
        began = self._clock.monotonic()
        try:
            await self._line.run(batch.commit, within=HEAVY_SECONDS if batch.is_heavy else None)
        except asyncio.CancelledError:
            _grant_all(wishes, LedgerUnavailable("the ledger was closed while this was being written"))
            raise
        except LeaseLost as lost:
            _grant_all(wishes, lost)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one job must not stop the others
            await self._blame(wishes, error, again=again)
        else:
            self._tenure.has_written = True
            self._on_mail(batch.mail)
            self._meter.committed(len(wishes), self._clock.monotonic() - began)
            for wish, result in zip(wishes, batch.results, strict=True):
                tell(self._meter, wish.job, result)
                wish.grant(result)

    async def _blame(self, wishes: Sequence[_Wish], error: Exception, *, again: bool) -> None:
        if len(wishes) > 1:
            for wish in wishes:
                await self._answer([wish])
            return
        if isinstance(error, errors.UniqueViolation) and not again:
            # Another account's worker wrote the same trade after we had looked: look again, now it is known.
            await self._answer(wishes, again=True)
            return
        job = wishes[0].job
        _log.error("the ledger refused a write", job=type(job).__name__, **about(job), error=str(error))
        _grant_all(wishes, _explained(error))


def _grant_all(wishes: Sequence[_Wish], result: object) -> None:
    for wish in wishes:
        wish.grant(result)


def _explained(error: Exception) -> Exception:
    if not isinstance(error, psycopg.Error):
        return error
    state = error.sqlstate or ""
    meaning = _MEANINGS.get(state) or (NotStorable if state[:2] in _ABOUT_THE_VALUES else WorkerError)
    explained = meaning(f"the ledger refused a write, nothing of it is stored: {error.diag.message_primary or error}")
    explained.__cause__ = error
    return explained
