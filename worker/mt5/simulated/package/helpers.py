"""
The package's four helpers in Python, for programs that use them.

The worker itself never calls them. They answer a requote or a missing price by sending again, up to ten times, write
nothing down before and look for nothing after: a trade could be made twice. They send without a filling mode, which
means FOK, and accept ten points of deviation.
"""

# ruff: noqa: N802 - the names are the package's own

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from worker.mt5.simulated import constants

_TRIES = 10
_DEVIATION_POINTS = 10
_AGAIN = (constants.TRADE_RETCODE_REQUOTE, constants.TRADE_RETCODE_PRICE_OFF)
_BUY, _SELL = constants.ORDER_TYPE_BUY, constants.ORDER_TYPE_SELL


def helpers(mt5: Any) -> tuple[Callable[..., Any], ...]:
    """Return the helpers over a module's functions, which they look up when they need them, as the package's do."""

    def _RawOrder(  # noqa: PLR0913, PLR0917 - the package's own parameters
        order_type: int,
        symbol: str,
        volume: float,
        price: float,
        comment: str | None = None,
        ticket: int | None = None,
    ) -> Any:
        """Send one market order; `ticket` is the position that it is to close."""
        return _send(mt5, _order(order_type, symbol, volume, comment, ticket), price)

    def Close(symbol: str, *, comment: str | None = None, ticket: int | None = None) -> bool | str | None:
        """Close a symbol's positions, or one by its ticket: True, "Partially", False; None without an answer."""
        return _close(mt5, symbol, comment, ticket)

    def Buy(
        symbol: str, volume: float, price: float | None = None, *, comment: str | None = None, ticket: int | None = None
    ) -> Any:
        """Buy at a price, with one try; else at the market's."""
        return _send(mt5, _order(_BUY, symbol, volume, comment, ticket), price)

    def Sell(
        symbol: str, volume: float, price: float | None = None, *, comment: str | None = None, ticket: int | None = None
    ) -> Any:
        """Sell at a price, with one try; else at the market's."""
        return _send(mt5, _order(_SELL, symbol, volume, comment, ticket), price)

    return _RawOrder, Close, Buy, Sell


def _order(side: int, symbol: str, volume: float, comment: str | None, ticket: int | None) -> dict[str, Any]:
    order = {"action": constants.TRADE_ACTION_DEAL, "symbol": symbol, "volume": volume, "type": side}
    order |= {"deviation": _DEVIATION_POINTS}
    order |= {} if comment is None else {"comment": comment}
    return order | ({} if ticket is None else {"position": ticket})


def _send(mt5: Any, order: dict[str, Any], price: float | None) -> Any:
    """Send an order once at its price; without one at the touch, again while that is missing or gone."""
    if price is not None:
        return mt5.order_send(order | {"price": price})
    reply = None
    for _ in range(_TRIES):
        tick = mt5.symbol_info_tick(order["symbol"])
        reply = mt5.order_send(order | {"price": tick.ask if order["type"] == _BUY else tick.bid})
        if reply is None or reply.retcode not in _AGAIN:
            break
    return reply


def _close(mt5: Any, symbol: str, comment: str | None, ticket: int | None) -> bool | str | None:
    codes = []
    for position in mt5.positions_get(symbol=symbol) if ticket is None else mt5.positions_get(ticket=ticket):
        if mt5.symbol_info_tick(symbol) is None:
            return None
        side = _SELL if position.type == _BUY else _BUY
        reply = _send(mt5, _order(side, symbol, position.volume, comment, position.ticket), None)
        if reply is None:
            return None
        codes.append(reply.retcode)
    done = codes.count(constants.TRADE_RETCODE_DONE)
    return bool(done) if done in {0, len(codes)} else "Partially"
