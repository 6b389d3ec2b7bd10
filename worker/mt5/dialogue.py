"""What is said to a session's child process, what it answers, and what its silence proves."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from worker.domain.errors import TerminalUnavailable
from worker.domain.market import NotSentReason, SendReport, SendStatus
from worker.mt5 import wire
from worker.mt5.child import ChildProcess, NotDelivered, Unanswered
from worker.mt5.supervisor import Supervisor
from worker.mt5.wire import Command, TerminalUnreachable

Answer = TypeVar("Answer")


class Dialogue:
    """
    Asks the child that is at work, and waits for its answers.

    Whoever uses it sees to it that one command goes at a time. Each answer has the time limit of a call of its own, in
    seconds. A child that ends is given up, so that another one is started.
    """

    def __init__(self, supervisor: Supervisor, call_timeout: float) -> None:
        self._supervisor, self._call_timeout = supervisor, call_timeout

    def ask(self, line: bytes) -> ChildProcess:
        """Hand a command over and return who has it; raises TerminalUnavailable when nobody does."""
        child = self._supervisor.at_work()
        try:
            child.ask(line, self._call_timeout)
        except NotDelivered as error:
            self._supervisor.lose(child, str(error))
            raise
        return child

    def answer(self, command: Command[Any, Answer], child: ChildProcess) -> Answer:
        """Wait for the answer to a command that holds one request; raises TerminalUnavailable."""
        try:
            answer = command.read_answer(self._answers(child)[0])
        except TerminalUnreachable as error:
            self._supervisor.not_reached(child, error)
            raise
        self._supervisor.symptoms.answered(command.name)
        return answer

    def reports(self, child: ChildProcess, left: int) -> Generator[Sequence[SendReport], None, None]:
        """Wait for the answers to so many orders of one line; yields those together that come together."""
        unreached = list[TerminalUnreachable]()
        try:
            with self._in_step(child):
                while left:
                    reports = [self._report(answer, unreached) for answer in self._answers(child)]
                    left -= len(reports)
                    yield reports
            for error in unreached:  # not before: the child may be sending the next one
                self._supervisor.not_reached(child, error)
        except Unanswered as end:
            last_words = [self._report(answer, unreached) for answer in end.last_words]
            yield [*last_words, *_of_the_others(end, left - len(last_words))]

    def _answers(self, child: ChildProcess) -> Sequence[bytes]:
        try:
            return child.answers(self._call_timeout)
        except Unanswered as error:
            self._supervisor.lose(child, str(error))
            raise

    @contextmanager
    def _in_step(self, child: ChildProcess) -> Iterator[None]:
        """End a child whose answers are not all read: the next order must not take one for its own."""
        try:
            yield
        except TerminalUnavailable:
            raise  # it has ended
        except BaseException:
            child.kill("nobody waited for its answers any more")
            self._supervisor.lose(child, child.epitaph())
            raise

    def _report(self, answer: bytes, unreached: list[TerminalUnreachable]) -> SendReport:
        try:
            report = wire.SUBMIT.read_answer(answer)
        except wire.Defect as error:
            return SendReport(SendStatus.NO_ANSWER, detail=str(error), answered_at=datetime.now(UTC))
        except TerminalUnavailable as error:
            if isinstance(error, TerminalUnreachable):
                unreached.append(error)
            return not_sent(error)
        self._supervisor.symptoms.answered(wire.SUBMIT.name)
        return report


def _of_the_others(end: Unanswered, count: int) -> list[SendReport]:
    """Return what is known of orders that a child has not answered before its end; it began them in their order."""
    doubtful = SendReport(SendStatus.NO_ANSWER, detail=str(end), answered_at=end.ended_at)
    if not end.has_told_all:
        return [doubtful] * count
    return [doubtful, *[not_sent(end)] * (count - 1)][:count]


def not_sent(why: TerminalUnavailable | str) -> SendReport:
    """Return the report of an order that no terminal was given."""
    return SendReport(SendStatus.NOT_SENT, NotSentReason.TERMINAL, detail=str(why))
