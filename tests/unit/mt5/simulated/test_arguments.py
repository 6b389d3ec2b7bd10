"""What the package takes as arguments: refused is refused in this process, and nothing reaches the broker."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.mt5.simulated.package import arguments
from worker.mt5.simulated.package.failures import Failure

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.conftest import Customer

TEXTS = ("symbol", "comment")
FLOATS = ("volume", "price", "stoplimit", "sl", "tp")
WHOLES = [
    "action",
    "magic",
    "order",
    "deviation",
    "type",
    "type_filling",
    "type_time",
    "expiration",
    "position",
    "position_by",
]


class TestARequest:
    @pytest.mark.parametrize("field", FLOATS)
    @pytest.mark.parametrize("value", [1, Decimal(1), None, "1.0"])
    def test_numbers_must_be_floats(self, customer: Customer, field: str, value: object) -> None:
        request = customer.order("EURUSD") | {field: value}

        assert customer.mt5.order_send(request) is None
        assert customer.mt5.last_error() == (-2, f'Invalid "{field}" argument')
        assert customer.book("SELECT * FROM orders") == []

    @pytest.mark.parametrize("field", WHOLES)
    @pytest.mark.parametrize("value", [1.0, Decimal(1), None, "1"])
    def test_whole_numbers_must_be_ints(self, customer: Customer, field: str, value: object) -> None:
        assert customer.mt5.order_check(customer.order("EURUSD") | {field: value}) is None
        assert customer.mt5.last_error() == (-2, f'Invalid "{field}" argument')

    @pytest.mark.parametrize("field", WHOLES)
    def test_an_int_out_of_range_leaves_its_exception_behind(self, customer: Customer, field: str) -> None:
        bits = 32 if field in ("action", "type", "type_filling", "type_time") else 64
        lowest, limit = (-(1 << 63), 1 << 63) if field == "expiration" else (0, 1 << bits)

        for value in (lowest - 1, limit):
            with pytest.raises(SystemError, match=r"^<built-in function order_send> returned a result with an exc"):
                customer.mt5.order_send(customer.order("EURUSD") | {field: value})
            assert customer.mt5.last_error() == (-2, f'Invalid "{field}" argument')
        assert customer.book("SELECT * FROM orders") == []

    @pytest.mark.parametrize("text", ["c" * 29, "", "é" * 29, "\U0001f600" * 14])
    def test_a_comment_of_29_utf16_units_is_kept_whole(self, customer: Customer, text: str) -> None:
        reply = customer.send("EURUSD", comment=text)

        assert customer.history(reply.order).comment == text

    @pytest.mark.parametrize("text", ["c" * 30, "\U0001f600" * 15, b"bytes", None])
    def test_a_longer_one_is_refused_and_not_cut(self, customer: Customer, text: object) -> None:
        assert customer.send("EURUSD", comment=text) is None
        assert customer.mt5.last_error() == (-2, 'Invalid "comment" argument')

    def test_fields_may_be_keywords_but_not_both(self, customer: Customer) -> None:
        request = customer.order("EURUSD")

        assert customer.mt5.order_send(**request).retcode == 10009
        assert customer.mt5.order_send(request, symbol="EURUSD") is None
        assert customer.mt5.last_error() == (-2, "Unnamed arguments not allowed")

    def test_unknown_keys_are_ignored_and_missing_ones_are_zero(self, customer: Customer) -> None:
        reply = customer.mt5.order_send({"action": 1, "symbol": "EURUSD", "volume": 0.1, "stop_loss": 1.0})

        assert reply.retcode == 10009
        assert reply.request.type_filling == customer.mt5.ORDER_FILLING_FOK
        assert reply.request._asdict() == dict.fromkeys(WHOLES, 0) | dict.fromkeys(FLOATS, 0.0) | {
            "action": 1,
            "symbol": "EURUSD",
            "volume": 0.1,
            "comment": "",
        }

    @pytest.mark.parametrize("given", [(), ([],), ({}, {})])
    def test_it_is_one_dictionary(self, customer: Customer, given: tuple[object, ...]) -> None:
        assert customer.mt5.order_send(*given) is None
        assert customer.mt5.last_error()[0] == -2

    def test_a_magic_uses_all_64_bits(self, customer: Customer) -> None:
        for magic in (1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
            reply = customer.send("EURUSD", magic=magic)

            assert customer.history(reply.order).magic == magic
            assert [deal.magic for deal in customer.deals(reply.order)] == [magic]


@given(st.text())
def test_the_limit_counts_utf16_units(text: str) -> None:
    units = sum(2 if ord(character) > 0xFFFF else 1 for character in text)
    if units <= 29:
        assert arguments.text("comment", text) == text
    else:
        with pytest.raises(Failure):
            arguments.text("comment", text)


NO_UNNAMED, UNREADABLE = "Unnamed arguments not allowed", "Invalid arguments"
REFUSED: list[tuple[str, tuple[object, ...], dict[str, object], str]] = [
    ("symbol_info", (), {}, UNREADABLE),
    ("symbol_info", (5,), {}, UNREADABLE),
    ("symbol_info", ("E" * 30,), {}, UNREADABLE),
    ("order_calc_margin", (0, "EURUSD", 0.1), {}, UNREADABLE),
    ("order_calc_profit", (0, "EURUSD", 0.1, 1.0), {}, UNREADABLE),
    ("order_check", ([],), {}, UNREADABLE),
    ("order_check", (), {}, "Invalid number of arguments"),
    ("positions_get", ("EURUSD",), {}, NO_UNNAMED),
    ("positions_get", (), {"symbol": 5}, 'Invalid "symbol" argument'),
    ("orders_get", ("EURUSD",), {"ticket": 1}, NO_UNNAMED),
    ("orders_get", (), {"ticket": 1.0, "group": 5}, 'Invalid "ticket" argument'),
    ("orders_get", (), {"group": 5}, 'Invalid "group" argument'),
    ("orders_get", (), {"group": "*" * 1998}, 'Invalid "group" argument'),
    ("history_deals_get", (0,), {}, UNREADABLE),
    ("history_deals_get", (), {}, UNREADABLE),
    ("history_deals_get", (), {"group": "*"}, UNREADABLE),
    ("history_deals_get", ("yesterday", "today"), {}, UNREADABLE),
    ("history_deals_get", (0, 1), {"group": 5}, 'Invalid "group" argument'),
    ("history_orders_get", (0,), {"ticket": 5}, NO_UNNAMED),
    ("history_orders_get", (0, 1, 2), {"position": 5}, NO_UNNAMED),
    ("history_orders_get", (), {"position": "5"}, 'Invalid "position" argument'),
    ("history_orders_total", (0,), {}, UNREADABLE),
]
REFUSED_WITH_FALSE: list[tuple[str, tuple[object, ...], dict[str, object], str]] = [
    ("initialize", ("one", "two"), {}, "Invalid number of arguments"),
    ("initialize", (5,), {}, "Invalid 1st unnamed argument"),
    ("initialize", (), {"path": None}, 'Invalid "path" argument'),
    ("initialize", (), {"path": "p" * 258}, 'Invalid "path" argument'),
    ("initialize", (), {"timeout": 1.5}, 'Invalid "timeout" argument'),
    ("login", ("1",), {}, "Invalid 1st unnamed argument"),
    ("login", (1, 2), {}, "Invalid 2nd unnamed argument"),
    ("login", (1, "", 3), {}, "Invalid 3rd unnamed argument"),
    ("login", (1, "", "", 4), {}, "Invalid number of arguments"),
    ("login", (), {"password": ""}, 'Invalid "login" argument'),
    ("login", (0,), {}, 'Invalid "login" argument'),
    ("login", (), {"login": "me"}, 'Invalid "login" argument'),
    ("login", (), {"password": "p" * 254}, 'Invalid "password" argument'),
    ("login", (), {"server": 5}, 'Invalid "server" argument'),
    ("symbols_get", (5,), {}, "Invalid 1st unnamed argument"),
    ("symbols_get", ("*", "*"), {}, "Invalid number of arguments"),
    ("symbols_get", (), {"group": 5}, 'Invalid "group" argument'),
    ("symbol_select", (), {}, UNREADABLE),
    ("symbol_select", ("EURUSD", True, True), {}, UNREADABLE),
]


class TestOtherFunctions:
    @pytest.mark.parametrize(("name", "unnamed", "named", "words"), REFUSED)
    def test_the_unreadable_is_refused_before_the_connection_is_needed(
        self, mt5: Any, name: str, unnamed: tuple[object, ...], named: dict[str, object], words: str
    ) -> None:
        mt5.shutdown()

        assert getattr(mt5, name)(*unnamed, **named) is None
        assert mt5.last_error() == (-2, words)

    @pytest.mark.parametrize(("name", "unnamed", "named", "words"), REFUSED_WITH_FALSE)
    def test_some_functions_refuse_with_false(
        self, mt5: Any, name: str, unnamed: tuple[object, ...], named: dict[str, object], words: str
    ) -> None:
        assert getattr(mt5, name)(*unnamed, **named) is False
        assert mt5.last_error() == (-2, words)

    @pytest.mark.parametrize(
        ("name", "unnamed", "named", "words"),
        [
            ("login", (), {"login": 1 << 64}, 'Invalid "login" argument'),
            ("initialize", (), {"timeout": 1 << 32}, 'Invalid "timeout" argument'),
            ("positions_get", (), {"ticket": -1}, 'Invalid "ticket" argument'),
            ("history_deals_get", (), {"position": 1 << 64}, 'Invalid "position" argument'),
            ("order_calc_margin", (0, "EURUSD", "0.1", 1.0), {}, UNREADABLE),
            ("order_calc_profit", (0.0, "EURUSD", 0.1, 1.0, 1.0), {}, UNREADABLE),
        ],
    )
    def test_some_wrong_arguments_leave_their_exception_behind(
        self, mt5: Any, name: str, unnamed: tuple[object, ...], named: dict[str, object], words: str
    ) -> None:
        with pytest.raises(SystemError):
            getattr(mt5, name)(*unnamed, **named)
        assert mt5.last_error() == (-2, words)

    def test_the_calculating_functions_take_whatever_makes_a_float(self, mt5: Any) -> None:
        margins = [mt5.order_calc_margin(0, "EURUSD", volume, 1) for volume in (1, 1.0, Decimal(1), True)]

        assert margins == [margins[0]] * 4

    @pytest.mark.parametrize("function", ["history_orders_get", "history_deals_total", "copy_rates_range"])
    def test_a_date_that_has_no_timestamp_leaves_python_s_error_behind(self, mt5: Any, function: str) -> None:
        before_time = datetime(1, 1, 1)  # noqa: DTZ001 - only without a zone is there none
        arguments = ("EURUSD", 1, before_time, 0) if function.startswith("copy") else (before_time, 0)

        with pytest.raises(SystemError, match=f"{function}> returned a result with an exception set") as met:
            getattr(mt5, function)(*arguments)

        assert isinstance(met.value.__cause__, ValueError | OverflowError | OSError)
        assert mt5.last_error() == (1, "Success")

    def test_dates_may_be_numbers_or_datetimes(self, customer: Customer) -> None:
        customer.send("EURUSD")
        begin, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)
        naive = datetime(2037, 1, 1)  # noqa: DTZ001 - the package reads it in the local zone

        assert customer.mt5.history_orders_total(begin, end) == 1
        assert customer.mt5.history_orders_total(begin, naive) == 1
        assert customer.mt5.history_orders_total(begin.timestamp(), int(end.timestamp())) == 1
        assert customer.mt5.history_orders_total(0, begin) == 0

    def test_dates_have_32_bits(self, customer: Customer) -> None:
        customer.send("EURUSD")

        assert customer.mt5.history_orders_total(0, (1 << 31) - 1) == 1
        assert customer.mt5.history_orders_total(0, datetime(2039, 1, 1, tzinfo=UTC)) == 0
        assert customer.mt5.history_orders_total(0, 1e300) == 0
        with pytest.raises(SystemError):
            customer.mt5.history_orders_total(0, 1 << 31)
        assert customer.mt5.last_error() == (1, "Success")

    def test_an_unknown_symbol_is_not_found(self, mt5: Any) -> None:
        for name in ("NOPE", "EURUSD.nope", "eurusd", "EURUSD.", ".slip"):
            assert mt5.symbol_info(name) is None
            assert mt5.last_error() == (-4, "Terminal: Not found")
            assert mt5.symbol_select(name, True) is False  # noqa: FBT003 - the package takes it by position only
            assert mt5.orders_get(symbol=name) == ()


class TestPositionalArguments:
    """The letters of C's own argument reader."""

    def test_each_letter_reads_its_type(self) -> None:
        assert arguments.parsed("Oikdp", ("x", -5, (1 << 40) + 3, Decimal("0.5"), "no")) == ("x", -5, 3, 0.5, True)
        assert arguments.parsed("dd", (1, True)) == (1.0, 1.0)

    @pytest.mark.parametrize(
        ("unit", "value"), [("i", 1.5), ("i", "1"), ("i", 1 << 31), ("k", 1.0), ("k", None), ("d", "1"), ("d", None)]
    )
    def test_a_wrong_type_or_range_leaves_its_exception_behind(self, unit: str, value: object) -> None:
        with pytest.raises(Failure) as refused:
            arguments.parsed(unit, (value,))
        assert refused.value.reason == (-2, "Invalid arguments")
        assert isinstance(refused.value.pending, TypeError | OverflowError)

    @pytest.mark.parametrize("given", [(), (1, 2)])
    def test_a_wrong_count_is_refused_and_nothing_more(self, given: tuple[object, ...]) -> None:
        with pytest.raises(Failure) as refused:
            arguments.parsed("i", given)
        assert refused.value.pending is None
