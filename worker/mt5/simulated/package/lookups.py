"""
The package's functions that look up positions, orders and deals.

What a behaviour hides for a while is left out until it becomes visible. The rows of unreadable symbols are left out
of look-ups for all symbols, so that they do not blind anybody for the rest; a look-up that asks for such a symbol, or
for one of its tickets, fails: an empty answer for all symbols proves nothing about one that was not asked for.

While its history is loading, as after a restart, the terminal finds nothing and says that this is a success.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.mt5.simulated.book import stored
from worker.mt5.simulated.dealing.kinds import PENDING
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.money.valuation import cents, floating, holding_of
from worker.mt5.simulated.package import arguments
from worker.mt5.simulated.package.failures import call_failed, invalid_arguments
from worker.mt5.simulated.package.pipe import Calls, call
from worker.mt5.simulated.structs import Struct, TradeDeal, TradeOrder, TradePosition
from worker.mt5.simulated.symbols import SYMBOLS, UNREADABLE, in_group

_ORDER_OF = {TradeOrder: "ticket", TradeDeal: "order", TradePosition: "identifier"}
_WAITING = frozenset(PENDING)
_TIME_OF = {TradeOrder: "time_done_msc", TradeDeal: "time_msc"}
_UNREADABLE = ", ".join(f"'{name}'" for name in sorted(UNREADABLE))
_PRICE = TradePosition.__match_args__.index("price_current")  # after it come swap and profit
_DATES = 2
_BALANCE = frozenset({""})  # the symbol of a deposit, which `*` lets through
_OPEN = "time_done_msc = 0"
_CLOSED = "time_done_msc > 0"


@dataclass(frozen=True, slots=True)
class Scope:
    """A condition on rows, with its parameters; `by_ticket` when it asks for particular trades."""

    where: str
    parameters: tuple[Any, ...] = field(default=())
    by_ticket: bool = False


class LookupCalls(Calls):
    """`positions_*`, `orders_*`, `history_orders_*`, `history_deals_*`."""

    @call
    def positions_total(self) -> int:
        """Return the number of open positions."""
        return _count(self.pipe.desk(), TradePosition, [_everything()])

    @call
    def positions_get(self, *args: object, **filters: object) -> tuple[Struct, ...]:
        """Return the open positions, of a symbol, a group or a ticket."""
        scope = _present(args, filters)
        desk = self.pipe.desk()
        return tuple(_valued(desk, row) for row in _found(desk, TradePosition, [scope]))

    @call
    def orders_total(self) -> int:
        """Return the number of open orders."""
        return _count(self.pipe.desk(), TradeOrder, [Scope(_OPEN), _everything()])

    @call
    def orders_get(self, *args: object, **filters: object) -> tuple[Struct, ...]:
        """Return the open orders, of a symbol, a group or a ticket."""
        scope = _present(args, filters)
        desk = self.pipe.desk()
        rows = _found(desk, TradeOrder, [Scope(_OPEN), scope])
        return tuple([_priced(desk, row) if row.type in _WAITING else row for row in rows])

    @call
    def history_orders_total(self, *args: object) -> int:
        """Return the number of orders closed between two server times."""
        scopes = _past(TradeOrder, args, {})
        return _count(self.pipe.desk(), TradeOrder, scopes)

    @call
    def history_orders_get(self, *args: object, **filters: object) -> tuple[Struct, ...]:
        """Return closed orders: between two server times, or of a `ticket` or a `position`."""
        scopes = _past(TradeOrder, args, filters)
        return tuple(_found(self.pipe.desk(), TradeOrder, scopes))

    @call
    def history_deals_total(self, *args: object) -> int:
        """Return the number of deals between two server times."""
        scopes = _past(TradeDeal, args, {})
        return _count(self.pipe.desk(), TradeDeal, scopes)

    @call
    def history_deals_get(self, *args: object, **filters: object) -> tuple[Struct, ...]:
        """
        Return deals: between two server times, the one of a `ticket`, or those of a `position`.

        The documentation calls that ticket an order's, but the package has room for a single deal in the answer, and
        programs written against live terminals find the deal by its own.
        """
        scopes = _past(TradeDeal, args, filters)
        return tuple(_found(self.pipe.desk(), TradeDeal, scopes))


def _found(desk: Desk, struct: type[Struct], scopes: list[Scope]) -> list[Struct]:
    if desk.history_is_loading:
        return []
    where, parameters = _condition(scopes)
    order = f" ORDER BY {_TIME_OF[struct]}, ticket" if struct in _TIME_OF else " ORDER BY ticket"
    rows = desk.book.select(struct, where + order, parameters)
    if hidden := desk.hidden_orders:
        rows = [row for row in rows if getattr(row, _ORDER_OF[struct]) not in hidden]
    if any(scope.by_ticket for scope in scopes) and any(row.symbol in UNREADABLE for row in rows):
        raise call_failed()
    return rows


def _count(desk: Desk, struct: type[Struct], scopes: list[Scope]) -> int:
    if desk.history_is_loading or desk.hidden_orders:
        return len(_found(desk, struct, scopes))
    return desk.book.count(struct, *_condition(scopes))


def _condition(scopes: list[Scope]) -> tuple[str, list[Any]]:
    return " AND ".join(scope.where for scope in scopes), [value for scope in scopes for value in scope.parameters]


def _present(args: tuple[object, ...], filters: Mapping[str, object]) -> Scope:
    """Read a filter: the ticket decides, else the symbol, else the group."""
    if args:
        raise invalid_arguments("Unnamed arguments not allowed")
    if "ticket" in filters:
        return _of_number("ticket", "ticket", filters)
    if "symbol" in filters:
        name = arguments.text("symbol", filters["symbol"])
        return _of_symbols(frozenset({name} & SYMBOLS.keys()))
    return _of_group(filters)


def _past(struct: type[Struct], args: tuple[object, ...], filters: Mapping[str, object]) -> list[Scope]:
    """Read a filter: two dates decide, with or without a group, else the ticket, else the position."""
    scopes = [Scope(_CLOSED)] if struct is TradeOrder else []
    if len(args) == _DATES:
        first, last = (arguments.epoch_seconds(date) for date in args)
        window = Scope(f"{_TIME_OF[struct]} BETWEEN ? AND ?", (first * 1000, last * 1000 + 999))
        return [window, *scopes, _of_group(filters)]
    for name, column in (("ticket", "ticket"), ("position", "position_id")):
        if name in filters:
            if args:
                raise invalid_arguments("Unnamed arguments not allowed")
            return [_of_number(name, column, filters), *scopes]
    raise invalid_arguments()


def _of_number(name: str, column: str, filters: Mapping[str, object]) -> Scope:
    return Scope(f"{column} = ?", (stored(arguments.whole(name, filters[name])),), by_ticket=True)


def _of_group(filters: Mapping[str, object]) -> Scope:
    if "group" not in filters:
        return _everything()
    return _of_symbols(in_group(arguments.group("group", filters["group"]), _BALANCE))


def _of_symbols(names: frozenset[str]) -> Scope:
    readable = names - UNREADABLE
    if names and not readable:
        raise call_failed()
    return Scope("symbol IN (SELECT value FROM json_each(?))", (json.dumps(sorted(readable)),))


def _everything() -> Scope:
    return Scope(f"symbol NOT IN ({_UNREADABLE})")


def _priced(desk: Desk, order: Struct) -> Struct:
    """Return an order that waits for its price with that of the moment."""
    price = desk.touch(SYMBOLS[order.symbol], order.type)
    return TradeOrder((order._asdict() | {"price_current": price}).values())


def _valued(desk: Desk, position: Struct) -> Struct:
    """Return a position at the price of the moment."""
    price, profit = floating(desk.market, holding_of(position), position.symbol)
    return TradePosition((*position[:_PRICE], price, position.swap, cents(profit), *position[_PRICE + 3 :]))
