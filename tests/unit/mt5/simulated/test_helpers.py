"""The package's own helpers, for programs that use them: they send again by themselves, so the worker must not."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import worker

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.conftest import Customer

HELPERS = {"_RawOrder", "Close", "Buy", "Sell"}
CODE = Path(worker.__file__).parent


def test_the_worker_never_calls_them() -> None:
    used = {
        (path.relative_to(CODE).as_posix(), node.attr)
        for path in CODE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in HELPERS
    }
    assert used == set()


def test_at_a_price_they_send_once(mt5: Any) -> None:
    tick = mt5.symbol_info_tick("EURUSD")

    bought = mt5.Buy("EURUSD", 0.1, tick.ask, comment="in")
    sold = mt5.Sell("EURUSD", 0.1, tick.bid, comment="out", ticket=bought.order)

    assert (bought.request.type, bought.request.comment, bought.request.deviation) == (mt5.ORDER_TYPE_BUY, "in", 10)
    assert (sold.request.type, sold.request.position) == (mt5.ORDER_TYPE_SELL, bought.order)
    assert (bought.retcode, sold.retcode, mt5.positions_total()) == (10009, 10009, 0)
    assert bought.request.type_filling == mt5.ORDER_FILLING_FOK


@pytest.mark.parametrize("side", ["Buy", "Sell"])
def test_without_a_price_a_requote_is_answered_by_sending_again(customer: Customer, side: str) -> None:
    customer.mt5.symbol_select("EURUSD.requote")

    reply = getattr(customer.mt5, side)("EURUSD.requote", 0.1)

    assert reply.retcode == 10009
    assert reply.request_id == 3
    assert customer.executed("EURUSD.requote") == 0.1


def test_a_refusal_is_an_answer_and_a_broken_pipe_is_none(mt5: Any) -> None:
    for name in ("EURUSD.reject", "EURUSD.lostreply"):
        mt5.symbol_select(name)

    assert mt5.Buy("EURUSD.reject", 0.1).retcode == 10006
    assert mt5.Buy("EURUSD.lostreply", 0.1) is None


def test_what_cannot_be_had_is_missing_where_the_package_misses_it(mt5: Any) -> None:
    mt5.shutdown()

    with pytest.raises(AttributeError):
        mt5.Buy("EURUSD", 0.1)
    with pytest.raises(TypeError):
        mt5.Close("EURUSD")


class TestClosing:
    def test_all_positions_of_a_symbol_are_closed(self, customer: Customer) -> None:
        for side in (0, 1, 0):
            customer.send("EURUSD", 0.2, side)
        customer.send("GBPUSD")

        assert customer.mt5.Close("EURUSD", comment="done with it") is True
        assert [position.symbol for position in customer.mt5.positions_get()] == ["GBPUSD"]
        assert customer.mt5.history_deals_get(0, 2_000_000_000)[-1].comment == "done with it"

    def test_one_is_closed_by_its_ticket(self, customer: Customer) -> None:
        first, second = customer.send("EURUSD").order, customer.send("EURUSD").order

        assert customer.mt5.Close("EURUSD", ticket=first) is True
        assert [position.ticket for position in customer.mt5.positions_get()] == [second]

    def test_nothing_to_close_is_nothing_done(self, mt5: Any) -> None:
        assert mt5.Close("EURUSD") is False

    def test_some_of_them_is_partially(self, customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
        for _ in range(2):
            customer.send("EURUSD")
        send, volumes = customer.mt5.order_send, iter([0.001])

        def refuses_the_first(request: dict[str, Any]) -> Any:
            return send(request | {"volume": next(volumes, request["volume"])})

        monkeypatch.setattr(customer.mt5, "order_send", refuses_the_first)

        assert customer.mt5.Close("EURUSD") == "Partially"

    def test_without_a_price_or_an_answer_there_is_none(
        self, customer: Customer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        customer.send("EURUSD")
        monkeypatch.setattr(customer.mt5, "order_send", lambda _: None)
        assert customer.mt5.Close("EURUSD") is None

        customer.mt5.symbol_select("EURUSD", False)  # noqa: FBT003 - the package takes it by position only
        assert customer.mt5.Close("EURUSD") is None
