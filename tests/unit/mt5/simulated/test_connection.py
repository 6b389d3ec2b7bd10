"""The connection to the terminal: who is let in, and what every call says without one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from worker.mt5 import simulated

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.conftest import Customer

ANY = "whatever it is, the simulated account takes it"
QUESTIONS = ("account_info", "terminal_info", "version", "symbols_total", "orders_total", "positions_get", "orders_get")


@pytest.mark.parametrize("question", QUESTIONS)
def test_before_initialize_and_after_shutdown_nothing_answers(path: Path, question: str) -> None:
    mt5: Any = simulated.module(path)

    assert getattr(mt5, question)() is None
    assert mt5.last_error() == (-10004, "No IPC connection")
    assert mt5.initialize()
    assert getattr(mt5, question)() is not None
    assert mt5.shutdown()
    assert getattr(mt5, question)() is None
    assert mt5.last_error()[0] == mt5.RES_E_INTERNAL_FAIL_CONNECT


def test_each_call_resets_the_error_but_asking_for_it_does_not(mt5: Any) -> None:
    assert mt5.symbol_info("NOPE") is None
    assert mt5.last_error() == mt5.last_error() == (-4, "Terminal: Not found")

    assert mt5.version()[0] == 500

    assert mt5.last_error() == (1, "Success")


class TestLogin:
    def test_the_account_s_own_login_and_server_are_let_in(self, path: Path) -> None:
        mt5: Any = simulated.module(path)

        assert mt5.initialize(
            "terminal64.exe", login=50_000_001, password=ANY, server="Simulated-Demo", timeout=5000, portable=True
        )
        assert mt5.login(50_000_001, password=ANY, server="Simulated-Demo")
        assert (mt5.account_info().login, mt5.account_info().server) == (50_000_001, "Simulated-Demo")

    @pytest.mark.parametrize("wrong", [{"login": 1}, {"server": "Other-Live"}])
    def test_others_are_not(self, path: Path, wrong: dict[str, Any]) -> None:
        mt5: Any = simulated.module(path)

        assert mt5.initialize(**wrong) is False
        assert mt5.last_error() == (-6, "Terminal: Authorization failed")
        assert mt5.account_info() is None
        assert mt5.initialize()
        assert mt5.login(wrong.get("login", 50_000_001), server=wrong.get("server", "Simulated-Demo")) is False

    def test_unnamed_they_are_login_password_and_server(self, mt5: Any) -> None:
        assert mt5.login(50_000_001)
        assert mt5.login(50_000_001, ANY, "Simulated-Demo")
        assert mt5.login(50_000_001, ANY, "Other-Live") is False
        assert mt5.login(1, login=50_000_001) is True

    def test_none_given_means_the_account_at_hand(self, path: Path) -> None:
        mt5: Any = simulated.module(path)

        assert mt5.initialize(login=0, password="", server="")
        assert mt5.initialize(password=ANY)
        assert mt5.initialize(login=0, password=ANY) is False
        assert mt5.last_error() == (-6, "Terminal: Authorization failed")

    def test_initialize_begins_by_giving_up_the_connection_that_stands(self, mt5: Any) -> None:
        assert mt5.initialize(5) is False

        assert mt5.account_info() is None
        assert mt5.last_error() == (-10004, "No IPC connection")


class TestTheTerminalItself:
    def test_it_has_folders(self, mt5: Any, path: Path) -> None:
        info = mt5.terminal_info()
        assert info.path == info.data_path == info.commondata_path == str(path.parent)

        mt5.initialize("C:\\Broker\\terminal64.exe", portable="yes")

        assert mt5.terminal_info().path == "C:\\Broker"

    def test_it_may_be_told_not_to_trade(self, customer: Customer) -> None:
        customer.book("UPDATE meta SET trade_allowed = 0")

        assert customer.mt5.terminal_info().trade_allowed is False
        assert customer.send("EURUSD").retcode == 10027

    def test_it_may_lose_its_server(self, customer: Customer) -> None:
        customer.book("UPDATE meta SET connected = 0")

        assert customer.mt5.terminal_info().connected is False
        assert customer.send("EURUSD").retcode == customer.cancel(1).retcode == 10031

    def test_it_may_forbid_trading_from_python(self, customer: Customer) -> None:
        customer.book("UPDATE meta SET tradeapi_disabled = 1")

        assert customer.mt5.terminal_info().tradeapi_disabled is True
        assert customer.send("EURUSD") is None
        assert customer.mt5.last_error()[0] == -8

    def test_it_may_be_logged_in_to_another_account(self, customer: Customer) -> None:
        customer.book("UPDATE meta SET login = 42, server = 'Other'")

        assert (customer.mt5.account_info().login, customer.mt5.account_info().server) == (42, "Other")

    def test_it_may_be_slow(self, customer: Customer) -> None:
        customer.book("UPDATE meta SET latency_ms = 30")
        begin = time.monotonic()

        assert customer.send("EURUSD").retcode == 10009

        assert time.monotonic() - begin >= 0.03

    @pytest.mark.parametrize("broken", ["no-such-folder/book.sqlite", "text"])
    def test_without_a_usable_book_it_cannot_be_started(self, tmp_path: Path, broken: str) -> None:
        (tmp_path / "text").write_text("this is no book, and long enough to be sure of it" * 100)
        mt5: Any = simulated.module(tmp_path / broken)

        assert mt5.initialize() is False
        code, why = mt5.last_error()
        assert code == mt5.RES_E_INTERNAL_FAIL_INIT
        assert broken in why

    def test_a_book_that_cannot_be_written_is_an_internal_failure(self, customer: Customer) -> None:
        customer.book("ALTER TABLE deals RENAME TO lost")

        assert customer.send("EURUSD") is None
        assert customer.mt5.last_error() == (-10000, "IPC call failed")
