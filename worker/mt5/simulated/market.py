"""The package's functions about symbols and prices."""

from __future__ import annotations

from functools import cache
from typing import Any

from worker.mt5.simulated import arguments, structs
from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.checks import OFFERED_FILLINGS
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.execution import jumped
from worker.mt5.simulated.failures import invalid_argument, not_found, unsupported
from worker.mt5.simulated.pipe import Calls, Pipe, call, yes_or_no
from worker.mt5.simulated.prices import Quote
from worker.mt5.simulated.structs import Struct, SymbolInfo, Tick
from worker.mt5.simulated.symbols import BASE, SYMBOLS, Symbol, in_group

_BLANK: dict[str, Any] = (
    dict.fromkeys(structs.SYMBOL_INFO_INTEGERS.split(), 0)
    | dict.fromkeys(structs.SYMBOL_INFO_NUMBERS.split(), 0.0)
    | dict.fromkeys(structs.SYMBOL_INFO_TEXTS.split(), "")
    | {"custom": False, "spread_float": True, "margin_hedged_use_leg": False}
)


class MarketCalls(Calls):
    """`symbols_total`, `symbols_get`, `symbol_info`, `symbol_info_tick`, `symbol_select`; no bars, no depth."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(pipe)
        pipe.selected.update(BASE)

    @call
    def symbols_total(self) -> int:
        """Return how many symbols there are."""
        self.pipe.desk()
        return len(SYMBOLS)

    @call
    def symbols_get(self, *args: object, **filters: object) -> tuple[Struct, ...]:
        """Return all symbols, or those of a group."""
        group = args[0] if args else filters.get("group", "*")
        if not isinstance(group, str):
            raise invalid_argument("group")
        chosen, desk = in_group(group), self.pipe.desk()
        return tuple(self._info(desk, symbol) for name, symbol in SYMBOLS.items() if name in chosen)

    @call
    def symbol_info(self, *args: object) -> Struct:
        """Return a symbol's specification and prices."""
        return self._info(*self.pipe.asked_about(*arguments.exactly(1, args)))

    @call
    def symbol_info_tick(self, *args: object) -> Struct:
        """Return the last tick of a symbol that is in the Market Watch."""
        desk, symbol = self.pipe.asked_about(*arguments.exactly(1, args))
        now = self._quote(desk, symbol)
        if now is None:
            raise not_found()
        order_type = self.pipe.jumps.pop(symbol.name, None)
        if order_type is not None:
            now = jumped(symbol, order_type, now)
        msc = now.utc_msc + desk.meta.server_offset_seconds * 1000
        return Tick((msc // 1000, now.bid, now.ask, 0.0, 0, msc, mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK, 0.0))

    @yes_or_no
    def symbol_select(self, *args: object) -> bool:
        """Put a symbol into the Market Watch, or take it out; only there it has prices."""
        name, enable = arguments.exactly(2, (*args, True) if len(args) == 1 else args)
        _, symbol = self.pipe.asked_about(name)
        (self.pipe.selected.add if enable else self.pipe.selected.discard)(symbol.name)
        return True

    def _quote(self, desk: Desk, symbol: Symbol) -> Quote | None:
        return desk.quote(symbol) if symbol.name in self.pipe.selected else None

    def _info(self, desk: Desk, symbol: Symbol) -> Struct:
        selected = symbol.name in self.pipe.selected
        values = _BLANK | _specification(symbol) | _tick_value(desk, symbol)
        values |= {"select": selected, "visible": selected}
        now = self._quote(desk, symbol)
        if now is not None:
            instrument = symbol.instrument
            values["time"] = now.utc_msc // 1000 + desk.meta.server_offset_seconds
            values |= {"bid": now.bid, "ask": now.ask, "spread": round((now.ask - now.bid) / instrument.point)}
        return SymbolInfo(values.values())


class MissingCalls(Calls):
    """Bars, tick history and depth of market: this terminal has none of them, and says so (-7)."""

    @call
    def copy_ticks_from(self, *_arguments: object) -> None:
        """Fail: there is no history of prices."""
        self.pipe.desk()
        raise unsupported()

    copy_ticks_range = copy_rates_from = copy_rates_from_pos = copy_rates_range = copy_ticks_from
    market_book_add = market_book_release = market_book_get = copy_ticks_from


@cache
def _specification(symbol: Symbol) -> dict[str, Any]:
    instrument = symbol.instrument
    return {
        "digits": instrument.digits,
        "trade_calc_mode": instrument.calc_mode,
        "trade_mode": symbol.behaviour.trade_mode,
        "trade_exemode": instrument.execution,
        "trade_stops_level": instrument.stops_level,
        "trade_freeze_level": instrument.freeze_level,
        "filling_mode": OFFERED_FILLINGS,
        "order_mode": instrument.order_mode,
        "expiration_mode": instrument.expiration_mode,
        "point": instrument.point,
        "trade_tick_size": instrument.tick_size,
        "trade_contract_size": instrument.contract_size,
        "volume_min": instrument.volume_min,
        "volume_max": instrument.volume_max,
        "volume_step": instrument.volume_step,
        "volume_limit": instrument.volume_limit,
        "currency_base": instrument.base,
        "currency_profit": instrument.profit,
        "currency_margin": instrument.base if instrument.calc_mode == mt5.SYMBOL_CALC_MODE_FOREX else instrument.profit,
        "description": instrument.description,
        "name": symbol.name,
        "path": f"Simulated\\{symbol.name}",
    }


def _tick_value(desk: Desk, symbol: Symbol) -> dict[str, float]:
    instrument = symbol.instrument
    value = instrument.tick_size * instrument.contract_size * desk.usd_rate(instrument.profit)
    return dict.fromkeys(("trade_tick_value", "trade_tick_value_profit", "trade_tick_value_loss"), value)
