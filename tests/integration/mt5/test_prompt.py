"""What README.md shows at a Python prompt: no main guard, no asyncio, no settings."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fixtures.terminal import OpenTerminal, set_broker
from worker.domain.errors import TerminalUnavailable, WrongSetting
from worker.domain.token import namespace_of
from worker.mt5 import BrokerInterface, MarketSnapshot, MT5ConnectionPool, OutcomeUnknown

_ROOT = Path(__file__).parents[3]


def _typed(script: str) -> subprocess.CompletedProcess[str]:
    """Run lines as `python -` does, from the project's folder, every warning shown."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-"],
        input=textwrap.dedent(script),
        cwd=_ROOT,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def broker(shared_terminal: OpenTerminal) -> BrokerInterface:
    return BrokerInterface(connection_pool=shared_terminal.pool)


def test_the_contract_s_lines_work_at_a_prompt(book_file: Path) -> None:
    shown = _typed(f"""
        from worker.mt5 import BrokerInterface, MT5ConnectionPool
        pool = MT5ConnectionPool(sessions={{"main": {{"backend": "simulated", "book": {str(book_file)!r}}}}},
                                 symbols=["EURUSD"])
        name, session = pool.get_connection(timeout=10)
        with session.lock:
            print(name, session.health().venue_mode)

        pool.release_connection((name, session))
        broker = BrokerInterface(connection_pool=pool)
        print(broker.connect())
        print(broker.get_market_snapshot("EURUSD").symbol, broker.get_market_snapshot("NOSUCH"))
        success, order_id, error_msg = broker.place_order("EURUSD", 1, 10_000)
        print(success, error_msg)
        print(broker.get_order_status(order_id)["filled_units"])
        print(broker.get_available_margin() > 0, broker.is_symbol_tradable("EURUSD"))
    """)
    assert shown.stderr == ""
    assert shown.stdout.splitlines() == ["main simulated", "True", "EURUSD None", "True None", "10000.0", "True True"]
    assert shown.returncode == 0


def test_a_program_that_fails_leaves_no_child_behind(book_file: Path) -> None:
    shown = _typed(f"""
        from worker.mt5 import MT5ConnectionPool
        pool = MT5ConnectionPool({{"main": {{"backend": "simulated", "book": {str(book_file)!r}}}}})
        print(pool.get_connection()[1].report()["pid"])
        1 / 0
    """)
    assert "ZeroDivisionError" in shown.stderr
    assert "ResourceWarning" not in shown.stderr
    assert not Path(f"/proc/{int(shown.stdout)}").exists()


def test_a_market_snapshot_is_in_pips_of_the_symbol(broker: BrokerInterface) -> None:
    for symbol in ("EURUSD", "USDJPY", "XAUUSD", "US500", "BTCUSD"):
        snapshot = broker.get_market_snapshot(symbol)
        assert isinstance(snapshot, MarketSnapshot)
        assert snapshot.bid_price < snapshot.mid_price < snapshot.ask_price
        assert 0 < snapshot.spread_pips < 100
        assert abs(datetime.now(UTC) - snapshot.timestamp) < timedelta(seconds=5)


def test_an_order_is_placed_once_and_its_status_told(broker: BrokerInterface, shared_terminal: OpenTerminal) -> None:
    success, order_id, error_msg = broker.place_order("EURUSD.multi", -1, 100_000)
    assert (success, error_msg) == (True, None)
    assert order_id is not None
    status = broker.get_order_status(order_id)
    assert status is not None
    assert (status["state"], status["filled_lots"], status["filled_units"]) == ("filled", 1.0, 100_000.0)
    assert len(status["deals"]) == 3
    prices = [deal["price"] for deal in status["deals"]]
    assert min(prices) <= status["fill_price"] <= max(prices)
    story = shared_terminal.pool.session().order(int(order_id))
    assert story is not None
    assert namespace_of(story.order.magic) == 0
    assert story.order.magic != 0


def test_a_pending_order_is_working(broker: BrokerInterface) -> None:
    _, order_id, _ = broker.place_order("EURUSD.pending", 1, 10_000)
    assert order_id is not None
    status = broker.get_order_status(order_id)
    assert status is not None
    assert (status["state"], status["filled_units"], status["fill_price"]) == ("placed", 0.0, None)


@pytest.mark.parametrize(
    ("symbol", "direction", "units", "why"),
    [
        ("NOSUCH", 1, 10_000, "no symbol NOSUCH"),
        ("EURUSD", 0, 10_000, "1 to buy or -1 to sell"),
        ("EURUSD", 1, 0, "more than 0"),
        ("EURUSD", 1, float("nan"), "more than 0"),
        ("EURUSD", 1, 10_500.5, "step"),
        ("EURUSD", 1, 1, "1000 to 10000000 units"),
        ("EURUSD.notick", 1, 10_000, "no sound price"),
        ("EURUSD.reject", 1, 10_000, "10006"),
        ("EURUSD.closed", 1, 10_000, "market closed"),
        ("EURUSD.requote", 1, 10_000, "requote"),
        ("EURUSD.jump", 1, 10_000, "beyond the worst allowed"),
    ],
)
def test_a_refusal_says_why(
    broker: BrokerInterface, symbol: str, direction: int, units: Decimal | float, why: str
) -> None:
    success, order_id, error_msg = broker.place_order(symbol, direction, units)
    assert (success, order_id) == (False, None)
    assert why in str(error_msg)


@pytest.mark.parametrize("suffix", ["timeout", "lostreply", "notsent"])
def test_an_unproved_outcome_is_raised(broker: BrokerInterface, suffix: str) -> None:
    with pytest.raises(OutcomeUnknown, match="Do not send it again"):
        broker.place_order(f"EURUSD.{suffix}", 1, 10_000)


def test_tradable_means_that_a_position_could_be_opened_now(pool: MT5ConnectionPool, book_file: Path) -> None:
    broker = BrokerInterface(connection_pool=pool)
    assert broker.is_symbol_tradable("EURUSD")
    assert not any(
        broker.is_symbol_tradable(symbol)
        for symbol in ("NOSUCH", "EURUSD.disabled", "EURUSD.closeonly", "EURUSD.notick")
    )
    set_broker(book_file, trade_allowed=0)
    assert not broker.is_symbol_tradable("EURUSD")
    assert not broker.connect()


def test_what_is_not_known_is_none(broker: BrokerInterface) -> None:
    assert broker.get_order_status("123") is None
    assert broker.get_order_status("no number") is None
    assert broker.get_market_snapshot("EURUSD.notick") is None


def test_without_a_terminal_nothing_raises(pool: MT5ConnectionPool) -> None:
    broker = BrokerInterface(connection_pool=pool)
    pool.close()
    assert not broker.connect()
    assert broker.get_available_margin() is None
    assert broker.get_order_status("1") is None
    assert not broker.is_symbol_tradable("EURUSD")
    success, _, error_msg = broker.place_order("EURUSD", 1, 10_000)
    assert not success
    assert "closed" in str(error_msg)


@pytest.mark.parametrize(
    ("sessions", "advice"),
    [
        ({}, "name at least one"),
        ({"main": {}}, 'write "backend": "simulated" or "backend": "native"'),
        ({"main": {"backend": "real"}}, "there is no default"),
        ({"main": {"backend": "simulated", "passwort": "hunter2"}}, "passwort"),
        ({"main": {"backend": "native", "book": "book.sqlite"}}, "leave it out for native"),
        ({"main": {"backend": "native", "login": -1, "password": "hunter2"}}, "login"),
    ],
)
def test_an_impossible_session_is_refused_with_advice_and_without_secrets(
    sessions: dict[str, dict[str, object]], advice: str
) -> None:
    with pytest.raises(WrongSetting) as refusal:
        MT5ConnectionPool(sessions)
    assert advice in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_a_login_that_the_broker_does_not_know_is_told(book_file: Path) -> None:
    session = {"backend": "simulated", "book": book_file, "login": 1, "password": "hunter2"}
    with MT5ConnectionPool({"main": session}) as pool:
        with pytest.raises(TerminalUnavailable, match="Authorization failed") as failure:
            pool.get_connection(timeout=2)
        assert "hunter2" not in f"{failure.value} {pool.sessions['main'].report()}"


def test_the_native_backend_says_what_it_lacks(book_file: Path) -> None:
    del book_file
    if sys.platform == "win32":
        pytest.skip("the package may be installed here")
    with (
        MT5ConnectionPool({"main": {"backend": "native", "terminal": "/no/such/terminal64.exe"}}) as pool,
        pytest.raises(TerminalUnavailable, match="MetaTrader5 package is not installed"),
    ):
        pool.get_connection(timeout=2)


def test_whoever_holds_a_session_can_still_ask_the_broker(shared_terminal: OpenTerminal) -> None:
    broker, connection = BrokerInterface(shared_terminal.pool), shared_terminal.pool.get_connection(timeout=10)
    with connection[1].lock:
        assert broker.connect()
    shared_terminal.pool.release_connection(connection)
