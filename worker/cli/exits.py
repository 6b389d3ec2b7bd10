"""Exit codes, and the one place where errors become them."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Coroutine
from enum import IntEnum
from typing import Any, TypeVar

import typer
from typer.core import TyperGroup

from ops.services import NotOurs, ServicesError
from worker.cli.show import cell
from worker.domain.errors import SchemaMismatch, ServiceUnavailable, WorkerError, WrongSetting

T = TypeVar("T")


class ExitCode(IntEnum):
    """What a command's end tells the program that started it."""

    DONE = 0
    FAILED = 1  # or not found
    WRONG_USE = 2  # or wrong configuration
    OUT_OF_REACH = 3  # a service that is needed does not answer


# The first class that fits decides.
_CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (ServiceUnavailable, ExitCode.OUT_OF_REACH),
    (WrongSetting, ExitCode.WRONG_USE),
    (SchemaMismatch, ExitCode.WRONG_USE),
    (WorkerError, ExitCode.FAILED),
    (NotOurs, ExitCode.FAILED),
    (ServicesError, ExitCode.OUT_OF_REACH),
    (OSError, ExitCode.FAILED),
)
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE})
_EXPECTED = tuple(kind for kind, _ in _CODES)


class Commands(TyperGroup):
    """The root of all commands: what they raise on purpose ends in a sentence and an exit code, not in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of our output has gone: typer ends silently
        except _EXPECTED as error:
            _tell(error)
            raise typer.Exit(exit_code(error)) from None


def all_written(program: Callable[[], None]) -> None:
    """
    Run a program whose output is a part of what was asked for: what could not be written makes the exit code 1.

    A reader that has gone, as `head` does, has seen what it wanted: that needs no sentence.
    """
    try:
        try:
            program()
        finally:
            sys.stdout.flush()
    except OSError as error:
        _tell(error)
        raise SystemExit(ExitCode.FAILED) from None


def _tell(error: Exception) -> None:
    if not isinstance(error, OSError) or error.errno not in _UNWRITABLE:
        complain(str(error))
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left must not fail once more
    if not isinstance(error, BrokenPipeError):
        place = error.filename or "the output"
        complain(f"{place} cannot be written ({error.strerror}); what was asked for may have been done: look first")


def exit_code(error: Exception) -> ExitCode:
    """Return the exit code of an error raised on purpose."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def complain(sentence: str) -> None:
    """Tell the person what went wrong, beside the command's own output; what others wrote in it is only shown."""
    sys.stderr.write(f"{cell(sentence).plain}\n")


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run asynchronous work to its end, on the loop that psycopg and pika need on every platform."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(work)
