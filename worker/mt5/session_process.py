"""
The child process of a terminal session: reads a command, executes it, answers, and so on until its parent has gone.

Started as `python -m worker.mt5.session_process`; see `session.py` for the parent's side and `wire.py` for the lines.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from worker import failpoints, memory
from worker.domain.errors import TerminalUnavailable
from worker.mt5 import file_lock, wire
from worker.mt5.canary.observer import Observer
from worker.mt5.link import Link
from worker.mt5.looking import News
from worker.mt5.program import Program
from worker.mt5.quotes import OPENING_WATCH_SECONDS, Quotes
from worker.mt5.searching import Searcher
from worker.mt5.sending import Sender
from worker.mt5.server_clock import ServerClock
from worker.mt5.silence import Listener
from worker.mt5.watchdog import Watchdog
from worker.mt5.wire import Command, Opening, VenueFacts

_LOCK_PATIENCE = 1.0  # seconds; then the parent is told, which asks again

_Handler = Callable[[Any], Any]


class Desk:
    """Executes commands. Until the terminal is open it knows only how to open it."""

    def __init__(self) -> None:
        self._lock: BinaryIO | None = None
        self._link: Link | None = None
        self._quotes: Quotes | None = None
        self.limit = wire.OPENING_SECONDS  # of one command
        self.silence_limit: float | None = None
        self._commands: dict[str, tuple[Command[Any, Any], _Handler]] = {"open": (wire.OPEN, self._open)}

    def answers(self, line: bytes) -> Iterator[bytes]:
        """
        Execute a command's requests one after the other; errors are answers too.

        Nothing is begun before the line that answers what came before it has been taken, and written.
        """
        try:
            command, handler = self._commands[wire.name_of(line)]
            requests = wire.requests_of(line)
        except Exception as error:  # noqa: BLE001 - a line that makes no sense must not end the session
            yield _defect(error)
            return
        for request in requests:
            yield self._answer(command, handler, request)

    def close(self) -> None:
        """Leave the terminal and let the next process have it."""
        if self._link is not None:
            self._link.module.shutdown()
        if self._lock is not None:
            self._lock.close()

    def _answer(self, command: Command[Any, Any], handler: _Handler, request: object) -> bytes:
        try:
            self._reconnect()
            return command.reply(handler(command.read_request(request)))
        except TerminalUnavailable as error:
            return wire.unavailable(error)
        except Exception as error:  # noqa: BLE001 - one request's defect must not take the terminal away from the others
            return _defect(error)

    def _open(self, opening: Opening) -> VenueFacts:
        failpoints.arm(opening.failpoints, opening.failpoints_log, process="session")
        self.silence_limit = opening.silence_limit
        self._lock = file_lock.hold(_lock_file(opening), _LOCK_PATIENCE)
        link, clock = _link(opening), ServerClock()
        link.open()
        quotes = Quotes(link, clock)
        quotes.watch(opening.symbols, OPENING_WATCH_SECONDS)
        sender, news, searcher = Sender(link, quotes), News(link, quotes, clock), Searcher(link, quotes, clock)
        self._link, self._quotes, self.limit = link, quotes, opening.call_timeout
        self._commands = {
            "quote": (wire.QUOTE, quotes.quotation),
            "submit": (wire.SUBMIT, sender.submit),
            "poll": (wire.POLL, news.poll),
            "search": (wire.SEARCH, searcher.search),
            "cancel": (wire.CANCEL, sender.cancel),
            "health": (wire.HEALTH, lambda _: link.health()),
            "standing": (wire.STANDING, lambda _: link.standing()),
            "instruments": (wire.INSTRUMENTS, quotes.instruments),
            "order": (wire.ORDER, news.story),
            **Observer(link, quotes, clock).commands(),
        }
        return link.facts(clock_offset_known=clock.offset is not None)

    def _reconnect(self) -> None:
        if self._link is not None and self._quotes is not None and self._link.ensure():
            self._quotes.forget()


def serve(commands: BinaryIO, answers: BinaryIO, desk: Desk) -> None:
    """
    Answer commands until the parent has closed its end, and leave the terminal.

    A line that was cut off is not a command.
    """
    watchdog = Watchdog()
    try:
        with Listener(commands, watchdog) as listener:
            while (line := listener.line(desk.silence_limit)).endswith(b"\n"):
                watchdog.feed(desk.limit)
                command = wire.name_of(line)
                for answer in desk.answers(line):
                    failpoints.hit("session.answer.before", command)
                    _write(answers, answer)  # fails when the parent is gone: nothing more of the line is begun then
                    failpoints.hit("session.answer.after", command)
                    watchdog.feed(desk.limit)
    finally:
        watchdog.feed(desk.limit)  # a terminal that hangs over its end is held by nobody but this process
        desk.close()
        watchdog.rest()


def _write(answers: BinaryIO, answer: bytes) -> None:
    """Write all of it: an unbuffered pipe may take less than that at a time."""
    rest = memoryview(answer)
    while rest:
        rest = rest[answers.write(rest) :]


def _defect(error: Exception) -> bytes:
    traceback.print_exception(error)
    return wire.defect(f"{type(error).__name__}: {error}")


def _link(opening: Opening) -> Link:
    if opening.backend == "native":
        from worker.mt5 import native  # noqa: PLC0415 - only the chosen backend is loaded

        return Link(native.module(), opening, process=_process(opening))
    from worker.mt5 import simulated  # noqa: PLC0415 - only the chosen backend is loaded

    return Link(simulated.module(opening.book, netting=opening.netting), opening, terminal_lives_here=True)


def _process(opening: Opening) -> Program | None:
    """Return the terminal's own process; one that hangs is ended here, and started anew by the package."""
    if opening.terminal is None:
        return None
    program = Program(Path(opening.terminal))
    if opening.restart:
        program.end()
    return program


def _lock_file(opening: Opening) -> Path:
    if opening.book is not None:
        return file_lock.lock_file_of_book(opening.book, opening.session)
    return file_lock.lock_file_of_terminal(opening.terminal)


def _take_over_stdout() -> BinaryIO:
    """Keep the pipe for answers alone: whatever else prints goes to standard error from here on."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return answers


def _outlive_signals() -> None:
    """Leave signals to the parent: a send must not be cut off, and the end of the parent ends this process."""
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def main() -> None:
    """Serve the parent that started this process."""
    _outlive_signals()
    memory.look_through_what_is_new()
    with contextlib.suppress(BrokenPipeError):  # the parent ended while an answer was on its way
        serve(sys.stdin.buffer, _take_over_stdout(), Desk())


if __name__ == "__main__":
    main()
