"""
The functions of the package as a program meets them: like those written in C.

They do not bind when they are stored on a class, have no signature to inspect, take keywords or arguments only where
the package does, and refuse others in Python's own words. Left out: their type is not `builtin_function_or_method`,
although `isinstance` and `inspect.isbuiltin` say so.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import BuiltinFunctionType, ModuleType
from typing import Any

# How each is called, in the words of the package's own help.
SIGNATURES = {
    "initialize": '([path],[server="SERVER"],[login=LOGIN],[password="PASSWORD"])',
    "login": '(login,[server="SERVER"],[password="PASSWORD"])',
    "shutdown": "()",
    "version": "()",
    "last_error": "()",
    "terminal_info": "()",
    "account_info": "()",
    "symbols_total": "()",
    "symbols_get": '([group="GROUP"])',
    "symbol_info": "(symbol)",
    "symbol_info_tick": "(symbol)",
    "symbol_select": "(symbol,[enable])",
    "market_book_add": "(symbol)",
    "market_book_get": "(symbol)",
    "market_book_release": "(symbol)",
    "copy_rates_from": "(symbol, timeframe, date_from, count)",
    "copy_rates_from_pos": "(symbol, timeframe, start_pos, count)",
    "copy_rates_range": "(symbol, timeframe, date_from, date_to)",
    "copy_ticks_from": "(symbol, date_from, count, flags)",
    "copy_ticks_range": "(symbol, date_from, date_to, flags)",
    "order_calc_margin": "(action, symbol, volume, price,)",
    "order_calc_profit": "(action, symbol, volume, price_open, price_close)",
    "order_check": "(request)",
    "order_send": "(request)",
    "orders_total": "()",
    "orders_get": '([symbol="SYMBOL"],[ticket=TICKET],[group="GROUP"])',
    "positions_total": "()",
    "positions_get": '([symbol="SYMBOL"],[ticket=TICKET],[group="GROUP"])',
    "history_orders_total": "(date_from, date_to)",
    "history_orders_get": '([date_from, date_to, [group="GROUP"]],[position=POSITION],[ticket=TICKET])',
    "history_deals_total": "(date_from, date_to)",
    "history_deals_get": '([date_from, date_to, [group="GROUP"]],[position=POSITION],[ticket=TICKET])',
}


class Function:
    """One function of the package: what it takes is read from its body's own parameters."""

    __name__: str
    __qualname__: str
    __self__: ModuleType
    __text_signature__: None
    _body: Callable[..., Any]
    _takes_arguments: bool
    _takes_keywords: bool

    __class__ = property(lambda _: BuiltinFunctionType)  # what `isinstance` and `inspect` see

    def __init__(self, name: str, body: Callable[..., Any], module: ModuleType) -> None:
        kinds = {parameter.kind for parameter in inspect.signature(body).parameters.values()}
        vars(self).update(
            __name__=name,
            __qualname__=name,
            __module__=module.__name__,
            __self__=module,
            __doc__=f"{name}{SIGNATURES[name]}\n\n{inspect.getdoc(body)}",
            __text_signature__=None,
            _body=body,
            _takes_arguments=bool(kinds),
            _takes_keywords=inspect.Parameter.VAR_KEYWORD in kinds,
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"'builtin_function_or_method' object has no attribute '{name}'")

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}>"

    def __reduce__(self) -> str:
        return self.__name__

    def __call__(self, /, *args: object, **keywords: object) -> Any:
        """Refuse as Python refuses for C, else do what the function does."""
        if keywords and not self._takes_keywords:
            raise TypeError(f"{self.__module__}.{self.__name__}() takes no keyword arguments")
        if args and not self._takes_arguments:
            raise TypeError(f"{self.__module__}.{self.__name__}() takes no arguments ({len(args)} given)")
        return self._body(*args, **keywords)
