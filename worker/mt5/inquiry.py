"""An inquiry: one question, put to one of several lanes, and to another where that one keeps it waiting or fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from worker.domain.errors import TerminalUnavailable
from worker.mt5.agenda import Task, Urgency
from worker.mt5.lane import PATIENCE_SECONDS, STUCK_SECONDS, Lane
from worker.mt5.mailbox import Mailbox, Reply

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Question(Generic[Answer]):
    """
    What is asked of a lane, in its thread; one `at_once` by whoever puts it, where that waits for nothing.

    That returns what waits for the answer; None when it could not ask. A `light` question goes before the others, and
    any before the sends when it has waited for `patience` seconds.
    """

    ask: Callable[[Lane], Answer]
    light: bool = False
    patience: float = PATIENCE_SECONDS
    at_once: Callable[[Lane], Callable[[], Answer] | None] = lambda _lane: None


class Inquiry(Generic[Answer]):
    """
    Put first to the lane that answers best now; the first answer counts, and is in `answer`.

    Each lane is asked once at most. A question that is under way is never given up, or a slow one would go round for
    ever; only a light one is put to another lane beside it: none may stand long before that lane's sends. It raises
    TerminalUnavailable when nobody who could be asked has an answer; cancelling `answer` ends it.

    No coroutine runs it: each of those that a question had to pass through was a turn of the loop for a trade.
    """

    def __init__(self, lanes: Sequence[Lane], question: Question[Answer], mailbox: Mailbox) -> None:
        self._lanes, self._question, self._mailbox = lanes, question, mailbox
        self._asked: list[Lane] = []
        self._waiting: dict[Lane, Task] = {}
        self.answer: asyncio.Future[Answer] = mailbox.loop.create_future()
        self.answer.add_done_callback(self._end)
        self._put(self._next() or self._first_of_all())
        self._glance = mailbox.loop.call_later(STUCK_SECONDS, self._glanced)

    def _answered(self, lane: Lane, answer: asyncio.Future[Answer]) -> None:
        if answer.cancelled():
            return
        failure = answer.exception()
        if self.answer.done():  # another one was quicker
            return
        del self._waiting[lane]
        if failure is None:
            self.answer.set_result(answer.result())
            return
        if isinstance(failure, TerminalUnavailable):
            self._look_further()
        if not self._waiting or not isinstance(failure, TerminalUnavailable):
            self.answer.set_exception(failure)

    def _glanced(self) -> None:
        self._look_further()
        self._glance = self._mailbox.loop.call_later(STUCK_SECONDS, self._glanced)

    def _look_further(self) -> None:
        """Put it to another lane if nobody has it, or whoever has it is stuck and it may be asked twice."""
        other = self._next()
        if other is None or len(self._waiting) > 1:
            return
        for lane, task in tuple(self._waiting.items()):
            if lane.is_at_hand:
                return
            if lane.withdraw(task):  # it has not begun
                del self._waiting[lane]
            elif not self._question.light:
                return
        self._put(other)

    def _put(self, lane: Lane) -> None:
        self._asked.append(lane)
        reply: Reply[Answer] = Reply(self._mailbox)
        reply.future.add_done_callback(partial(self._answered, lane))
        question, urgency = self._question, Urgency.LIGHT if self._question.light else Urgency.QUESTION
        self._waiting[lane] = lane.put(
            urgency, partial(question.ask, lane), reply, question.patience, partial(question.at_once, lane)
        )

    def _end(self, _answer: asyncio.Future[Answer]) -> None:
        self._glance.cancel()
        for task in self._waiting.values():
            task.reply.future.cancel()

    def _next(self) -> Lane | None:
        """Return the first that is at hand, those before the others who see the account; None when there is none."""
        at_hand = [lane for lane in self._lanes if lane.is_at_hand and lane not in self._asked]
        return min(at_hand, key=lambda lane: not lane.sees_account, default=None)

    def _first_of_all(self) -> Lane:
        return next((lane for lane in self._lanes if lane.takes_part), self._lanes[0])
