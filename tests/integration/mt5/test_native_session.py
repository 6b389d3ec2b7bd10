"""
The native session around a stand-in for the package, with a real process for a terminal.

Nothing here has seen MetaTrader: it shows what the session does with a terminal's process, not what MetaTrader does.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.terminal import a_question, a_search, an_order
from worker.domain.absence import is_held
from worker.domain.errors import TerminalUnavailable
from worker.domain.execution import Attempt
from worker.domain.market import OrderRequest, SendReport, SendStatus
from worker.mt5 import symptoms
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.program import Program
from worker.mt5.terminal import PooledTerminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a copy of /bin/sleep plays the terminal")

Opened = Callable[..., AbstractAsyncContextManager[PooledTerminal]]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    """Install a terminal, and end what runs of it in the end."""
    (tmp_path / "MT5").mkdir()
    installed = Path(shutil.copy(Path(shutil.which("sleep") or "").resolve(), tmp_path / "MT5" / "terminal64.exe"))
    yield installed
    Program(installed).end()


@pytest.fixture
def opened(program: Path, tmp_path: Path, book_file: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Open a native session of that terminal."""
    packages = tmp_path / "packages"
    packages.mkdir()
    shutil.copy(Path(__file__).with_name("stand_in.py"), packages / "MetaTrader5.py")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    monkeypatch.setenv("STAND_IN_BOOK", str(book_file))

    @asynccontextmanager
    async def opened(patience: float = 20, **changes: Any) -> AsyncIterator[PooledTerminal]:
        session = {"backend": "native", "terminal": str(program), "timeout": 0.5, "restarts_terminal": True} | changes
        terminal = PooledTerminal(MT5ConnectionPool({"main": session}, symbols=["EURUSD"]))
        try:
            await terminal.start(patience)
            yield terminal
        finally:
            await terminal.close()

    return opened


def process_of(program: Path) -> tuple[int, datetime | None]:
    (process,) = (found for found in Program(program)._running() if found is not None)
    return process.pid, Program(program).started()


def hangs(program: Path) -> None:
    Path(f"{program}.hangs").touch()


def attempt_of(order: OrderRequest, report: SendReport, terminal: PooledTerminal) -> Attempt:
    """Return the attempt as the worker writes it down."""
    return Attempt(
        1,
        order.magic,
        order.lots,
        written_at=order.send_before - timedelta(seconds=60),
        answered_at=report.answered_at,
        sender=terminal.sender_of(order.symbol),
    )


async def is_back(terminal: PooledTerminal) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await terminal.quote(a_question())
            except TerminalUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_terminal_that_runs_is_used_and_left_running(opened: Opened, program: Path) -> None:
    async with opened() as terminal:
        before = process_of(program)
        assert (await terminal.submit(an_order())).status is SendStatus.ANSWERED
    async with opened() as terminal:
        assert (await terminal.submit(an_order())).status is SendStatus.ANSWERED
        custody = (await terminal.search(a_search())).custody[terminal.sender_of("EURUSD")]
    assert process_of(program) == before
    assert (custody.clean_since, custody.in_session) == (before[1], False)


async def test_a_terminal_that_hung_over_a_send_is_restarted_and_then_holds_nothing_of_it(
    opened: Opened, program: Path
) -> None:
    async with opened() as terminal:
        before, order = process_of(program), an_order("EURUSD.hangnot")

        # When a send never returns
        report = await terminal.submit(order)
        assert report.status is SendStatus.NO_ANSWER
        assert report.answered_at is not None
        assert report.answered_at <= datetime.now(UTC)

        # Then the terminal is another process, which cannot have it
        await is_back(terminal)
        assert process_of(program)[0] != before[0]
        assert terminal.report()["main"]["terminal_restarts"] == 1
        search = await terminal.search(a_search("EURUSD.hangnot"))
        custody = search.custody[terminal.sender_of("EURUSD")]
        assert custody.clean_since == process_of(program)[1]
        assert custody.clean_since != before[1]
        # Nobody could tell from that alone if the worker had not lived to see the session end.
        assert is_held(search, attempt_of(order, SendReport(SendStatus.NO_ANSWER), terminal))


async def test_a_terminal_that_is_not_known_by_its_path_is_never_ended(
    opened: Opened, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_DEFAULT", str(program))
    async with opened(terminal=None) as terminal:
        before, order = process_of(program), an_order("EURUSD.hangnot")
        report = await terminal.submit(order)
        await is_back(terminal)
        assert process_of(program) == before
        assert terminal.report()["main"]["terminal_restarts"] == 0
        assert is_held(await terminal.search(a_search("EURUSD.hangnot")), attempt_of(order, report, terminal))


async def test_a_terminal_that_lets_nobody_connect_for_a_while_is_restarted(
    opened: Opened, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symptoms, "_TROUBLED_SECONDS", 0.5)
    async with opened():
        before = process_of(program)
    hangs(program)

    async with opened() as terminal:
        assert (await terminal.submit(an_order())).status is SendStatus.ANSWERED
        assert process_of(program)[0] != before[0]
        assert terminal.report()["main"]["terminal_restarts"] == 1


async def test_another_terminal_than_the_configured_one_gets_no_order(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PATH", r"C:\Program Files\Another Terminal")
    with pytest.raises(TerminalUnavailable, match=r"the terminal at hand is the one in C:.*Another Terminal, expected"):
        async with opened(patience=2):
            pass
