"""What waits for a terminal's lane: the orders, and the tasks in the order of their urgency."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from worker.domain.errors import TerminalUnavailable
from worker.domain.market import OrderRequest, SendReport
from worker.mt5.dialogue import not_sent
from worker.mt5.mailbox import Reply


class Urgency(IntEnum):
    """What goes first when no order waits, which has a deadline; what is equally urgent goes in its order."""

    CANCEL = 0  # the order has been open for longer than it may
    LIGHT = 1  # a quote: a trade waits for it, and it delays a poll by no more than itself
    QUESTION = 2


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Work for a lane's thread."""

    work: Callable[[], Any]
    reply: Reply[Any]
    overdue_at: float  # monotonic seconds; from then on it goes before orders

    def perform(self) -> None:
        """Do it, and bring what comes of it."""
        try:
            outcome = self.work()
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the reply
            outcome = error
        self.reply.bring(outcome)


@dataclass(frozen=True, slots=True, eq=False)
class Send:
    """An order that waits to be sent."""

    order: OrderRequest
    reply: Reply[SendReport]


class Agenda:
    """
    Keeps both until the lane comes to them; what nobody wants the reply of any more is left out then.

    Not safe by itself: whoever uses it holds the lane's condition.
    """

    def __init__(self) -> None:
        self._sends = deque[Send]()
        self._tasks: dict[Urgency, deque[Task]] = {urgency: deque() for urgency in Urgency}

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing waits."""
        return not self._sends and not any(self._tasks.values())

    def add_send(self, send: Send) -> None:
        """Add an order behind the others."""
        self._sends.append(send)

    def add_task(self, urgency: Urgency, task: Task) -> None:
        """Add a task behind those that are as urgent."""
        self._tasks[urgency].append(task)

    def withdraw(self, task: Task) -> bool:
        """Take a task back; False when it does not wait any more."""
        for tasks in self._tasks.values():
            if task in tasks:
                tasks.remove(task)
                return True
        return False

    def next_sends(self, most: int) -> list[Send]:
        """Take the next orders, at most so many."""
        sends: list[Send] = []
        while self._sends and len(sends) < most:
            send = self._sends.popleft()
            if send.reply.is_wanted:
                sends.append(send)
        return sends

    def put_back(self, sends: list[Send]) -> None:
        """Let orders wait before all others again."""
        self._sends.extendleft(reversed(sends))

    def next_task(self, overdue_by: float = math.inf) -> Task | None:
        """Take the most urgent task, the first of those; only among the overdue ones, when a moment is named."""
        for tasks in self._tasks.values():
            for task in [task for task in tasks if task.overdue_at <= overdue_by]:
                tasks.remove(task)
                if task.reply.is_wanted:
                    return task
        return None

    def give_up(self, why: TerminalUnavailable) -> None:
        """Let all who wait know that nothing is done any more."""
        for send in self._sends:
            send.reply.bring(not_sent(why))
        for tasks in self._tasks.values():
            for task in tasks:
                task.reply.bring(why)
