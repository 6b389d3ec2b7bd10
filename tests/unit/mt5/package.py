"""A stand-in for the MetaTrader5 package: each function answers what the story says, and every call is noted."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from worker.domain.token import attempt_token, base_token, comment_of
from worker.mt5.link import Link
from worker.mt5.server_clock import ServerClock
from worker.mt5.wire import Opening

NAMESPACE = 9
TOKEN = attempt_token(base_token(NAMESPACE, 1), 1)


class Struct(SimpleNamespace):
    """A structure of the package, as far as the worker looks at one."""

    def _asdict(self) -> dict[str, Any]:
        return dict(vars(self))


def a_terminal(**changes: Any) -> Struct:
    fields = {"connected": True, "trade_allowed": True, "tradeapi_disabled": False, "path": r"C:\MT5"}
    return Struct(**(fields | changes))


def an_account(**changes: Any) -> Struct:
    fields = {"login": 7, "server": "S", "trade_allowed": True, "trade_expert": True}
    return Struct(**(fields | {"trade_mode": 0, "margin_mode": 2, "margin_free": 1000.0} | changes))


def a_symbol(**changes: Any) -> Struct:
    fields: dict[str, Any] = {"name": "EURUSD", "digits": 5, "point": 1e-05, "trade_tick_size": 1e-05}
    fields |= {"trade_contract_size": 100000.0, "volume_min": 0.01, "volume_max": 100.0, "volume_step": 0.01}
    fields |= {"volume_limit": 0.0, "trade_mode": 4, "trade_exemode": 2, "filling_mode": 3, "trade_calc_mode": 0}
    return Struct(**(fields | {"visible": True, "currency_base": "EUR", "currency_profit": "USD"} | changes))


def a_tick(ask: float = 1.1, time_msc: int = 1_700_000_000_000) -> Struct:
    return Struct(time=time_msc // 1000, time_msc=time_msc, bid=round(ask - 0.0001, 5), ask=ask)


def an_order_row(**changes: Any) -> Struct:
    fields: dict[str, Any] = {"ticket": 1, "magic": TOKEN, "symbol": "EURUSD", "state": 1, "position_id": 0}
    fields |= {"type": 0, "volume_initial": 0.1, "volume_current": 0.1, "comment": comment_of(TOKEN)}
    fields |= {"time_done": 1_700_000_000, "time_done_msc": 1_700_000_000_000}
    return Struct(**(fields | {"time_setup": 1_700_000_000, "time_setup_msc": 1_700_000_000_000} | changes))


def a_deal_row(**changes: Any) -> Struct:
    fields: dict[str, Any] = {"ticket": 11, "order": 1, "magic": TOKEN, "type": 0, "position_id": 1, "volume": 0.1}
    fields |= {"price": 1.1, "commission": -0.35, "fee": 0.0, "symbol": "EURUSD", "comment": comment_of(TOKEN)}
    return Struct(**(fields | {"time": 1_700_000_000, "time_msc": 1_700_000_000_000} | changes))


def a_position_row(**changes: Any) -> Struct:
    fields: dict[str, Any] = {"ticket": 1, "identifier": 1, "magic": TOKEN, "symbol": "EURUSD", "volume": 0.1}
    return Struct(**(fields | {"time": 1_700_000_000, "comment": comment_of(TOKEN)} | changes))


class Package:
    """
    Answers calls by name. A list is a sequence of answers, its last one for ever; a function is called.

    `fails` makes a function answer None and sets the last error that goes with it.
    """

    def __init__(self, **answers: Any) -> None:
        self.calls: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.error = (1, "Success")
        self.answers: dict[str, Any] = {
            "initialize": True,
            "shutdown": True,
            "version": (500, 1, "today"),
            "terminal_info": a_terminal(),
            "account_info": an_account(),
            "symbol_select": True,
            "symbol_info": a_symbol(),
            "symbol_info_tick": a_tick(),
            "order_calc_margin": 100.0,
            "order_check": Struct(retcode=0, comment="Done"),
            "order_send": Struct(retcode=10009, deal=11, order=1, comment="done"),
            "orders_get": (),
            "positions_get": (),
            "history_orders_get": (),
            "history_deals_get": (),
            "history_orders_total": lambda *window: self._count("history_orders_get", *window),
            "history_deals_total": lambda *window: self._count("history_deals_get", *window),
        } | answers

    def fails(self, function: str, code: int, text: str = "no") -> None:
        self.answers[function] = _Failure(code, text)

    def last_error(self) -> tuple[int, str]:
        return self.error

    def count(self, function: str) -> int:
        return self.calls.count(function)

    def __getattr__(self, function: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(function)
            if function in {"order_check", "order_send"}:
                self.requests.append(dict(arguments[0]))
            return self._answer(self.answers[function], *arguments, **named)

        return call

    def _count(self, function: str, *window: int) -> int | None:
        """Count what the function would show."""
        rows = self._answer(self.answers[function], *window)
        return None if rows is None else len(rows)

    def _answer(self, answer: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, _Failure):
            self.error = (answer.code, answer.text)
            return None
        self.error = (1, "Success")
        return answer(*arguments, **named) if callable(answer) else answer


class _Failure:
    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text


def a_link(package: Package, **opening: Any) -> Link:
    """Return an open link to the package."""
    link = Link(package, Opening("main", opening.pop("backend", "native"), **opening))
    link.open()
    package.calls.clear()
    return link


def a_clock() -> ServerClock:
    return ServerClock()
