"""The package's functions about symbols and prices."""

from __future__ import annotations

from functools import lru_cache

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.dealing.execution import jumped
from worker.mt5.simulated.market import Market
from worker.mt5.simulated.money.margin import order_margin
from worker.mt5.simulated.money.valuation import Holding, cents, profit_of, rate, side_of
from worker.mt5.simulated.package import arguments
from worker.mt5.simulated.package.failures import Failure, call_failed, invalid_params, not_found
from worker.mt5.simulated.package.pipe import Calls, Pipe, call, yes_or_no
from worker.mt5.simulated.package.specification import specification
from worker.mt5.simulated.prices.today import today
from worker.mt5.simulated.structs import Struct, SymbolInfo, Tick
from worker.mt5.simulated.symbols import BASE, SYMBOLS, Symbol, in_group

_NO_AMOUNT = 1e12  # neither lots nor a price
_ORDER_TYPES = range(mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_CLOSE_BY)


class MarketCalls(Calls):
    """`symbols_*`, `symbol_*` and `order_calc_*`."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(pipe)
        pipe.selected.update(BASE)

    @call
    def symbols_total(self) -> int:
        """Return how many symbols there are."""
        self.pipe.desk()
        return len(SYMBOLS)

    @call
    def symbols_get(self, *args: object, **filters: object) -> tuple[Struct, ...] | bool:
        """Return all symbols, or those of a group; False for arguments that cannot be read."""
        try:
            group = arguments.listing(args, filters)
        except Failure as refused:
            self.pipe.error = refused.reason
            return False
        chosen, desk = in_group(group), self.pipe.desk()
        shown = self.pipe.selected | desk.open_symbols()
        return tuple(_info(desk.market, symbol, name in shown) for name, symbol in SYMBOLS.items() if name in chosen)

    @call
    def symbol_info(self, *args: object) -> Struct:
        """Return a symbol's specification and prices."""
        desk, symbol = self.pipe.asked_about(*arguments.exactly(1, args))
        return _info(desk.market, symbol, desk.shows(symbol))

    @call
    def symbol_info_tick(self, *args: object) -> Struct:
        """Return the last tick of a symbol that is in the Market Watch."""
        desk, symbol = self.pipe.asked_about(*arguments.exactly(1, args))
        now = desk.quote(symbol) if desk.shows(symbol) else None
        if now is None:
            raise not_found()
        order_type = self.pipe.jumps.pop(symbol.name, None)
        if order_type is not None:
            now = jumped(symbol, order_type, now)
        msc = now.utc_msc + desk.meta.server_offset_seconds * 1000
        return Tick((msc // 1000, now.bid, now.ask, 0.0, 0, msc, mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK, 0.0))

    @yes_or_no
    def symbol_select(self, *args: object) -> bool:
        """Put a symbol into the Market Watch, where it has prices, or take it out unless something of it is open."""
        name, enable = arguments.parsed("Op", (*args, True) if len(args) == 1 else args)
        desk, symbol = self.pipe.asked_about(name)
        if not enable and symbol.name in desk.open_symbols():
            raise call_failed()
        (self.pipe.selected.add if enable else self.pipe.selected.discard)(symbol.name)
        return True

    @call
    def order_calc_margin(self, *args: object) -> float:
        """Return the margin in the account's currency: `order_calc_margin(type, symbol, volume, price)`."""
        action, name, volume, price = arguments.parsed("kOdd", args)
        desk, symbol = self.pipe.asked_about(name)
        _check(action, volume, price)
        return order_margin(desk.market, symbol, volume, price, action)

    @call
    def order_calc_profit(self, *args: object) -> float:
        """Return the profit: `order_calc_profit(type, symbol, volume, price_open, price_close)`."""
        action, name, volume, opened, closed = arguments.parsed("kOddd", args)
        desk, symbol = self.pipe.asked_about(name)
        _check(action, volume, opened, closed)
        holding = Holding(side_of(action), volume, volume * opened)
        return cents(profit_of(desk.market, symbol.instrument, holding, closed))


@lru_cache(maxsize=512)  # many orders of a symbol begin within one tick
def _info(market: Market, symbol: Symbol, is_shown: bool) -> Struct:  # noqa: FBT001 - of a symbol that is or is not
    values = specification(symbol) | _tick_value(market, symbol)
    values |= {"select": is_shown, "visible": is_shown}
    now = market.quote(symbol) if is_shown else None
    if now is not None:
        instrument, offset = symbol.instrument, market.server_offset_seconds
        values["time"] = now.utc_msc // 1000 + offset
        values |= {"bid": now.bid, "ask": now.ask, "spread": round((now.ask - now.bid) / instrument.point)}
        values |= today(symbol, now, market.opened_utc_msc, offset)
    return SymbolInfo(values.values())


def _tick_value(market: Market, symbol: Symbol) -> dict[str, float]:
    value = symbol.instrument.tick_value * rate(market, symbol.instrument.profit, mt5.ORDER_TYPE_SELL)
    return dict.fromkeys(("trade_tick_value", "trade_tick_value_profit", "trade_tick_value_loss"), value)


def _check(order_type: object, *numbers: float) -> None:
    """Refuse what the terminal cannot calculate: an unknown type of order, or numbers that are none."""
    if order_type not in _ORDER_TYPES or not all(0 <= number < _NO_AMOUNT for number in numbers):  # NaN is in no range
        raise invalid_params()
