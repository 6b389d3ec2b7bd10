"""An inquiry: one question, put to one of several lanes, and to another where that one keeps it waiting or fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Generic, TypeVar

from worker.domain.errors import TerminalUnavailable
from worker.mt5.lane import STUCK_SECONDS, Lane, Urgency

Answer = TypeVar("Answer")


class Inquiry(Generic[Answer]):
    """
    Put first to the lane that answers best now; the first answer counts.

    Each lane is asked once at most. A question that is under way is never given up, or a slow one would go round for
    ever; only a `light` one is put to another lane beside it: none may stand long before that lane's sends. A light one
    goes before the others, and any before the sends when it has waited for `patience` seconds.
    """

    def __init__(
        self, lanes: Sequence[Lane], question: Callable[[Lane], Answer], *, light: bool, patience: float
    ) -> None:
        self._lanes, self._question, self._light, self._patience = lanes, question, light, patience
        self._asked: list[Lane] = []
        self._waiting: dict[asyncio.Future[Answer], tuple[Lane, Future[Answer]]] = {}

    async def answer(self) -> Answer:
        """Return the answer; raises TerminalUnavailable when nobody who could be asked has one."""
        failure: BaseException | None = None
        self._put(self._next() or self._first_of_all())
        try:
            while self._waiting:
                done, _ = await asyncio.wait(self._waiting, timeout=STUCK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for answer in done:
                    del self._waiting[answer]
                    failure = answer.exception()
                    if not isinstance(failure, TerminalUnavailable):
                        return answer.result()
                self._look_further()
        finally:
            for answer in self._waiting:
                answer.cancel()
        raise failure or TerminalUnavailable("no terminal could be asked")

    def _look_further(self) -> None:
        """Put it to another lane if nobody has it, or whoever has it is stuck and it may be asked twice."""
        other = self._next()
        if other is None or len(self._waiting) > 1:
            return
        for answer, (lane, future) in tuple(self._waiting.items()):
            if lane.is_at_hand:
                return
            if future.cancel():  # it has not begun
                del self._waiting[answer]
            elif not self._light:
                return
        self._put(other)

    def _put(self, lane: Lane) -> None:
        self._asked.append(lane)
        urgency = Urgency.LIGHT if self._light else Urgency.QUESTION
        future = lane.put(urgency, partial(self._question, lane), self._patience)
        self._waiting[asyncio.wrap_future(future)] = (lane, future)

    def _next(self) -> Lane | None:
        """Return the first that is at hand, those before the others who see the account; None when there is none."""
        at_hand = [lane for lane in self._lanes if lane.is_at_hand and lane not in self._asked]
        return min(at_hand, key=lambda lane: not lane.sees_account, default=None)

    def _first_of_all(self) -> Lane:
        return next((lane for lane in self._lanes if lane.takes_part), self._lanes[0])
