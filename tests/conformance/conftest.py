"""
Which terminal the stories of `test_terminal.py` are played on.

Here: the simulated one, on a hedging and on a netting account and with two terminals of one account. On Windows, with
the settings MT5_BACKEND=native, MT5_TERMINAL, MT5_LOGIN, MT5_PASSWORD, MT5_SERVER of a DEMO account that no worker
uses::

    python -m pytest tests/conformance --terminal native
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.conformance.stand import Stand
from tests.fixtures.terminal import set_broker
from worker import bootstrap
from worker.domain.errors import TerminalUnavailable, WorkerError
from worker.mt5 import simulated
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.terminal import PooledTerminal
from worker.mt5.wire import OPENING_SECONDS
from worker.settings import Backend, Settings, read_settings

SIMULATED = {"hedging": (2, ("main",)), "netting": (0, ("main",)), "two terminals": (2, ("main", "second"))}
_GIVEN: pytest.StashKey[Settings] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "the terminal that the stories are played on")
    group.addoption("--terminal", choices=list(Backend), default="simulated", help="native: a real demo account")
    group.addoption("--symbol", default="EURUSD", help="the broker's name of a liquid symbol")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the settings of a real account before all other tests' fixtures make this process forget them."""
    if config.getoption("--terminal", "simulated") != Backend.NATIVE:
        return
    try:
        settings = read_settings()
        if settings.need_backend() is not Backend.NATIVE:
            raise pytest.UsageError(
                "--terminal native needs MT5_BACKEND=native and the settings MT5_... of the account"
            )
    except WorkerError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[_GIVEN] = settings


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "open_stand" in metafunc.fixturenames:
        stands = ["native"] if _GIVEN in metafunc.config.stash else list(SIMULATED)
        metafunc.parametrize("open_stand", stands, indirect=True, scope="module")


@pytest.fixture(scope="module")
def open_stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Open the terminal once for all stories; each of them puts its positions away."""
    if request.param == "native":
        pool, book = bootstrap.terminal_pool(request.config.stash[_GIVEN]), None
    else:
        book = tmp_path_factory.mktemp("stand") / "book.sqlite"
        pool = _simulated(book, *SIMULATED[request.param])
    terminal = PooledTerminal(pool)
    try:
        facts = asyncio.run(terminal.start(OPENING_SECONDS))
        stand = Stand(pool, terminal, facts, request.config.getoption("--symbol", "EURUSD"), book)
        if not stand.is_simulated:
            asyncio.run(_insist_on_a_demo_account(stand))
        yield stand
    finally:
        asyncio.run(terminal.close())


@pytest.fixture
async def stand(open_stand: Stand) -> AsyncIterator[Stand]:
    tending = asyncio.create_task(open_stand.terminal._tend())  # the loop that began to has ended
    yield open_stand
    await open_stand.put_away()
    tending.cancel()


def _simulated(book: Path, margin_mode: int, sessions: tuple[str, ...]) -> MT5ConnectionPool:
    simulated.module(book).initialize()  # makes the book
    set_broker(book, margin_mode=margin_mode)
    return MT5ConnectionPool({name: {"backend": "simulated", "book": book} for name in sessions}, symbols=["EURUSD"])


async def _insist_on_a_demo_account(stand: Stand) -> None:
    venue = stand.facts.venue
    if venue.mode != "demo":
        pytest.exit(f"login {venue.login} at {venue.server} is a LIVE account: nothing is played with real money", 2)
    try:
        quote = await stand.quote()
    except TerminalUnavailable as error:
        pytest.exit(str(error), 3)
    if quote.health.problem or quote.tick is None:
        pytest.exit(f"{stand.symbol} cannot be traded now: {quote.health.problem or 'there is no price'}", 1)
