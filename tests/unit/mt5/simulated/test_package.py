"""The simulated module is shaped like the `MetaTrader5` package: names, structures, and how its functions behave."""

from __future__ import annotations

import importlib.util
import inspect
import os
import pickle
import re
import subprocess
import sys
from copy import copy, deepcopy
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from worker.mt5 import simulated
from worker.mt5.simulated import structs

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.conftest import Customer

FUNCTIONS = [
    "initialize",
    "login",
    "shutdown",
    "version",
    "last_error",
    "terminal_info",
    "account_info",
    "symbols_total",
    "symbols_get",
    "symbol_info",
    "symbol_info_tick",
    "symbol_select",
    "market_book_add",
    "market_book_get",
    "market_book_release",
    "copy_rates_from",
    "copy_rates_from_pos",
    "copy_rates_range",
    "copy_ticks_from",
    "copy_ticks_range",
    "order_calc_margin",
    "order_calc_profit",
    "order_check",
    "order_send",
    "orders_total",
    "orders_get",
    "positions_total",
    "positions_get",
    "history_orders_total",
    "history_orders_get",
    "history_deals_total",
    "history_deals_get",
]
FIELDS = {"Tick": 8, "AccountInfo": 28, "TerminalInfo": 22, "SymbolInfo": 96, "TradeRequest": 17, "BookInfo": 4} | {
    "OrderCheckResult": 9,
    "OrderSendResult": 11,
    "TradeOrder": 24,
    "TradeDeal": 18,
    "TradePosition": 19,
}


class TestNames:
    def test_all_functions_constants_and_structures_are_there_and_nothing_else(self, mt5: Any) -> None:
        public = {name for name in vars(mt5) if not name.startswith("_")}
        constants = {name for name in public if name.isupper()}

        assert len(constants) == 223
        assert len([name for name in constants if name.startswith("TRADE_RETCODE_")]) == 40
        assert public - constants == set(FUNCTIONS) | set(FIELDS) | {"Buy", "Sell", "Close"}
        assert mt5.__version__ == "5.0.6231"
        assert mt5.__author__ == "MetaQuotes Ltd."

    def test_there_is_no_10005_and_no_10037(self, mt5: Any) -> None:
        codes = {value for name, value in vars(mt5).items() if name.startswith("TRADE_RETCODE_")}

        assert {10004, 10008, 10009, 10010, 10045} <= codes
        assert not {10005, 10037} & codes


class TestStructures:
    @pytest.mark.parametrize(("name", "fields"), FIELDS.items())
    def test_each_has_its_fields_in_order(self, mt5: Any, name: str, fields: int) -> None:
        assert len(getattr(mt5, name).__match_args__) == fields

    @pytest.mark.parametrize(
        ("table", "struct"),
        [("orders", structs.TradeOrder), ("deals", structs.TradeDeal), ("positions", structs.TradePosition)],
    )
    def test_the_book_s_columns_are_the_field_names(
        self, customer: Customer, table: str, struct: type[structs.Struct]
    ) -> None:
        columns = customer.book("SELECT name FROM pragma_table_info(?)", table)

        assert tuple(column["name"] for column in columns) == struct.__match_args__

    def test_they_are_tuples_with_names_and_a_dictionary(self, mt5: Any) -> None:
        account = mt5.account_info()

        assert issubclass(mt5.AccountInfo, tuple)
        assert type(account) is mt5.AccountInfo
        assert account[0] == account.login == account._asdict()["login"] == 50_000_001
        assert list(account._asdict()) == list(account.__match_args__)
        assert repr(account).startswith("AccountInfo(login=50000001, trade_mode=0, ")

    def test_they_can_be_matched_by_position_and_by_name(self, mt5: Any) -> None:
        match mt5.symbol_info_tick("EURUSD"):
            case mt5.Tick(_, bid, ask, flags=flags):
                assert 0 < bid < ask
                assert flags == mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK
            case other:
                pytest.fail(f"not a tick: {other!r}")

    def test_they_can_be_copied_but_not_pickled(self, mt5: Any) -> None:
        account = mt5.account_info()

        assert copy(account) == account
        with pytest.raises(pickle.PicklingError):
            pickle.dumps(account)

    @pytest.mark.parametrize(
        ("given", "words"),
        [(range(3), "Tick() takes a 8-sequence (3-sequence given)"), (5, "constructor requires a sequence")],
    )
    def test_they_are_made_from_a_sequence_of_their_length(self, mt5: Any, given: object, words: str) -> None:
        assert mt5.Tick(iter(range(8))).volume_real == 7
        with pytest.raises(TypeError, match=re.escape(words)):
            mt5.Tick(given)

    def test_their_types_are_closed_and_say_how_many_fields_they_have(self, mt5: Any) -> None:
        tick = mt5.Tick

        assert tick.__mro__ == (tick, tuple, object)
        assert (tick.n_fields, tick.n_sequence_fields, tick.n_unnamed_fields) == (8, 8, 0)
        assert repr(tick) == "<class 'Tick'>"
        with pytest.raises(TypeError, match="type 'Tick' is not an acceptable base type"):
            type("Own", (tick,), {})
        with pytest.raises(AttributeError):
            mt5.symbol_info_tick("EURUSD").bid = 1.0


class TestFunctions:
    def test_stored_on_a_class_they_do_not_become_its_methods(self, mt5: Any) -> None:
        class Holder:
            send = mt5.symbol_info

        assert Holder().send("EURUSD").name == "EURUSD"

    @pytest.mark.parametrize("name", ["symbol_info", "order_calc_margin", "history_deals_total", "copy_rates_range"])
    def test_those_with_positional_arguments_only_take_no_keywords(self, mt5: Any, name: str) -> None:
        with pytest.raises(TypeError, match=rf"^MetaTrader5\._core\.{name}\(\) takes no keyword arguments$"):
            getattr(mt5, name)(symbol="EURUSD")

    @pytest.mark.parametrize("name", ["shutdown", "version", "account_info", "orders_total", "last_error"])
    def test_those_without_arguments_take_none(self, mt5: Any, name: str) -> None:
        with pytest.raises(TypeError, match=rf"^MetaTrader5\._core\.{name}\(\) takes no arguments \(2 given\)$"):
            getattr(mt5, name)(1, 2)

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_they_look_like_c_functions(self, mt5: Any, name: str) -> None:
        function: Any = getattr(mt5, name)

        assert inspect.isbuiltin(function) is True
        assert repr(function) == f"<built-in function {name}>"
        assert (function.__name__, function.__module__) == (name, "MetaTrader5._core")
        assert function.__doc__.startswith(f"{name}(")
        assert deepcopy(function) is function
        with pytest.raises(ValueError, match="no signature found"):
            inspect.signature(function)
        with pytest.raises(AttributeError):
            function.note = "mine"

    def test_what_fails_with_an_exception_left_behind_is_a_system_error(self, mt5: Any) -> None:
        with pytest.raises(SystemError, match="orders_get> returned a result with an exception set") as met:
            mt5.orders_get(ticket=-1)

        assert isinstance(met.value.__cause__, OverflowError)
        assert mt5.last_error() == (-2, 'Invalid "ticket" argument')


class TestInstall:
    def test_installed_it_is_what_import_gives(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "MetaTrader5", raising=False)

        installed = simulated.install(path)

        assert isinstance(installed, ModuleType)
        assert importlib.import_module("MetaTrader5") is installed
        assert importlib.util.find_spec("MetaTrader5") is installed.__spec__
        assert importlib.import_module("MetaTrader5._core").order_send is vars(installed)["order_send"]
        assert b"order_send" in pickle.dumps(vars(installed)["order_send"])
        for name in ("MetaTrader5", "MetaTrader5._core"):
            monkeypatch.delitem(sys.modules, name)

    def test_the_environment_names_the_book(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MT5_SIMULATED_BOOK", str(path))

        simulated.module().initialize()

        assert path.exists()

    def test_a_book_stays_where_it_was_when_the_program_goes_elsewhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Given a program that names its book relative to where it starts
        for folder in ("here", "elsewhere"):
            (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / "here")
        mt5: Any = simulated.module(Path("book.sqlite"))

        # When it goes elsewhere before it connects
        monkeypatch.chdir(tmp_path / "elsewhere")
        mt5.initialize()

        # Then the account is still that of the folder in which it started
        assert (tmp_path / "here" / "book.sqlite").exists()
        assert mt5.terminal_info().data_path == str(tmp_path / "here")
        assert list((tmp_path / "elsewhere").iterdir()) == []
        mt5.shutdown()

    def test_a_book_may_be_named_from_the_user_s_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        monkeypatch.setenv("MT5_SIMULATED_BOOK", "~/book.sqlite")

        simulated.module().initialize()

        assert (tmp_path / "book.sqlite").exists()

    def test_a_private_book_goes_with_its_process(self, tmp_path: Path) -> None:
        program = (
            "from worker.mt5 import simulated; simulated.install()\n"
            "import MetaTrader5 as mt5; assert mt5.initialize(), mt5.last_error()\n"
            "order = dict(action=mt5.TRADE_ACTION_DEAL, symbol='EURUSD', volume=0.1, type=mt5.ORDER_TYPE_BUY)\n"
            "assert mt5.order_send(order).retcode == mt5.TRADE_RETCODE_DONE"
        )
        environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
        environment.pop("MT5_SIMULATED_BOOK", None)

        subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)

        assert list(tmp_path.iterdir()) == []


def test_the_package_can_be_imported_while_garbage_is_collected_at_every_step() -> None:
    program = "import gc; gc.set_threshold(1, 1, 1); from worker.mt5.simulated import structs"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
