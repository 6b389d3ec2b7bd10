"""
The structures of the `MetaTrader5` package: tuples whose fields also have names.

The package's are made by C (`PyStructSequence`); ours behave alike. They are made from one sequence of the right
length, have `_asdict` and `__match_args__`, no other base than `tuple` and no subclasses, and cannot be pickled,
because no module can be imported that holds their types.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, cast


class Struct(tuple[Any, ...]):
    """What all structures have. None is a subclass of this one: each gets the members for itself."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    n_fields: ClassVar[int] = 0

    def __new__(cls, sequence: Iterable[object], hidden: object = None) -> Self:
        """Take one value for each field; of the `hidden` ones that C would take too there are none."""
        del hidden
        try:
            values = iter(sequence)
        except TypeError:
            raise TypeError("constructor requires a sequence") from None
        self = tuple.__new__(cls, values)
        if len(self) != cls.n_fields:
            raise TypeError(f"{cls.__name__}() takes a {cls.n_fields}-sequence ({len(self)}-sequence given)")
        return self

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError(f"type '{cls.__mro__[1].__name__}' is not an acceptable base type")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (tuple(self), {})

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
        return f"{type(self).__name__}({fields})"

    def _asdict(self) -> dict[str, Any]:
        """Return the values by the names of their fields."""
        return dict(zip(self.__match_args__, self, strict=True))

    if TYPE_CHECKING:

        def __getattr__(self, field: str) -> Any: ...


def named(struct: type[Struct], /, **fields: Any) -> Struct:
    """Make a structure from all of its fields by name."""
    return tuple.__new__(struct, _IN_ORDER[struct](fields))


_IN_ORDER: dict[type[Struct], Callable[[dict[str, Any]], tuple[Any, ...]]] = {}
_MEMBERS = {
    name: vars(Struct)[name] for name in ("__new__", "__init_subclass__", "__reduce__", "__repr__", "_asdict")
} | {"__slots__": (), "__module__": "builtins", "n_unnamed_fields": 0}


def _structure(name: str, description: str, fields: str) -> type[Struct]:
    names = tuple(fields.split())
    read = cast("type[Any]", namedtuple(name, names))  # noqa: PYI024 - for what reads its fields: quicker than a property
    members: dict[str, Any] = {field: getattr(read, field) for field in names}
    members |= {"__doc__": description, "__match_args__": names}
    members |= {"n_fields": len(names), "n_sequence_fields": len(names)}
    struct = cast("type[Struct]", type(name, (tuple,), _MEMBERS | members))
    _IN_ORDER[struct] = itemgetter(*names)
    return struct


Tick = _structure("Tick", "The latest prices of a symbol.", "time bid ask last volume time_msc flags volume_real")

AccountInfo = _structure(
    "AccountInfo",
    "An account, with what it has and what it owes.",
    "login trade_mode leverage limit_orders margin_so_mode trade_allowed trade_expert margin_mode currency_digits "
    "fifo_close balance credit profit equity margin margin_free margin_level margin_so_call margin_so_so "
    "margin_initial margin_maintenance assets liabilities commission_blocked name server currency company",
)

TerminalInfo = _structure(
    "TerminalInfo",
    "The terminal: its connections, permissions and folders.",
    "community_account community_connection connected dlls_allowed trade_allowed tradeapi_disabled email_enabled "
    "ftp_enabled notifications_enabled mqid build maxbars codepage ping_last community_balance retransmission company "
    "name language path data_path commondata_path",
)

SYMBOL_INFO_INTEGERS = (
    "custom chart_mode select visible session_deals session_buy_orders session_sell_orders volume volumehigh "
    "volumelow time digits spread spread_float ticks_bookdepth trade_calc_mode trade_mode start_time expiration_time "
    "trade_stops_level trade_freeze_level trade_exemode swap_mode swap_rollover3days margin_hedged_use_leg "
    "expiration_mode filling_mode order_mode order_gtc_mode option_mode option_right"
)
SYMBOL_INFO_NUMBERS = (
    "bid bidhigh bidlow ask askhigh asklow last lasthigh lastlow volume_real volumehigh_real volumelow_real "
    "option_strike point trade_tick_value trade_tick_value_profit trade_tick_value_loss trade_tick_size "
    "trade_contract_size trade_accrued_interest trade_face_value trade_liquidity_rate volume_min volume_max "
    "volume_step volume_limit swap_long swap_short margin_initial margin_maintenance session_volume session_turnover "
    "session_interest session_buy_orders_volume session_sell_orders_volume session_open session_close session_aw "
    "session_price_settlement session_price_limit_min session_price_limit_max margin_hedged price_change "
    "price_volatility price_theoretical price_greeks_delta price_greeks_theta price_greeks_gamma price_greeks_vega "
    "price_greeks_rho price_greeks_omega price_sensitivity"
)
SYMBOL_INFO_TEXTS = (
    "basis category currency_base currency_profit currency_margin bank description exchange formula isin name page path"
)
SymbolInfo = _structure(
    "SymbolInfo",
    "A symbol: its specification and its prices.",
    f"{SYMBOL_INFO_INTEGERS} {SYMBOL_INFO_NUMBERS} {SYMBOL_INFO_TEXTS}",
)

TradeRequest = _structure(
    "TradeRequest",
    "What is asked of the broker.",
    "action magic order symbol volume price stoplimit sl tp deviation type type_filling type_time expiration comment "
    "position position_by",
)

OrderCheckResult = _structure(
    "OrderCheckResult",
    "What a request would do to the account.",
    "retcode balance equity profit margin margin_free margin_level comment request",
)

OrderSendResult = _structure(
    "OrderSendResult",
    "What the broker answered to a request.",
    "retcode deal order volume price bid ask comment request_id retcode_external request",
)

TradeOrder = _structure(
    "TradeOrder",
    "An order, open or from the history.",
    "ticket time_setup time_setup_msc time_done time_done_msc time_expiration type type_time type_filling state magic "
    "position_id position_by_id reason volume_initial volume_current price_open sl tp price_current price_stoplimit "
    "symbol comment external_id",
)

TradeDeal = _structure(
    "TradeDeal",
    "A deal: an execution, or money put in or taken out.",
    "ticket order time time_msc type entry magic position_id reason volume price commission swap profit fee symbol "
    "comment external_id",
)

TradePosition = _structure(
    "TradePosition",
    "An open position.",
    "ticket time time_msc time_update time_update_msc type magic identifier reason volume price_open sl tp "
    "price_current swap profit symbol comment external_id",
)

BookInfo = _structure("BookInfo", "One price in the depth of a market.", "type price volume volume_dbl")

ALL = (
    AccountInfo,
    BookInfo,
    OrderCheckResult,
    OrderSendResult,
    SymbolInfo,
    TerminalInfo,
    Tick,
    TradeDeal,
    TradeOrder,
    TradePosition,
    TradeRequest,
)
