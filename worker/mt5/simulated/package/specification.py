"""What `symbol_info` tells of a symbol that does not change with the market: its specification."""

from __future__ import annotations

from functools import cache
from typing import Any

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated import structs
from worker.mt5.simulated.dealing.checks import OFFERED_FILLINGS
from worker.mt5.simulated.money.margin import margin_currency
from worker.mt5.simulated.symbols import Symbol

DEPTH_OF_MARKET = 10  # price levels
_WEDNESDAY = 3  # the night for which three days of swap are due, had swaps not been switched off
_BLANK: dict[str, Any] = (
    dict.fromkeys(structs.SYMBOL_INFO_INTEGERS.split(), 0)
    | dict.fromkeys(structs.SYMBOL_INFO_NUMBERS.split(), 0.0)
    | dict.fromkeys(structs.SYMBOL_INFO_TEXTS.split(), "")
    | {"custom": False, "spread_float": True, "margin_hedged_use_leg": False}
)


@cache
def specification(symbol: Symbol) -> dict[str, Any]:
    """Return all fields of `SymbolInfo` in their order; those that the market fills are 0 or empty."""
    instrument = symbol.instrument
    return _BLANK | {
        "digits": instrument.digits,
        "ticks_bookdepth": DEPTH_OF_MARKET,
        "trade_calc_mode": instrument.calc_mode,
        "trade_mode": symbol.behaviour.trade_mode,
        "trade_stops_level": instrument.stops_level,
        "trade_freeze_level": instrument.freeze_level,
        "trade_exemode": symbol.execution,
        "swap_mode": mt5.SYMBOL_SWAP_MODE_DISABLED,
        "swap_rollover3days": _WEDNESDAY,
        "filling_mode": OFFERED_FILLINGS,
        "order_mode": instrument.order_mode,
        "order_gtc_mode": mt5.SYMBOL_ORDERS_GTC,
        "expiration_mode": instrument.expiration_mode,
        "point": instrument.point,
        "trade_tick_size": instrument.tick_size,
        "trade_contract_size": instrument.contract_size,
        "volume_min": instrument.volume_min,
        "volume_max": instrument.volume_max,
        "volume_step": instrument.volume_step,
        "volume_limit": instrument.volume_limit,
        "margin_initial": instrument.margin_initial,
        "margin_hedged": instrument.margin_hedged,
        "currency_base": instrument.base,
        "currency_profit": instrument.profit,
        "currency_margin": margin_currency(instrument),
        "description": instrument.description,
        "name": symbol.name,
        "path": f"Simulated\\{symbol.name}",
    }
