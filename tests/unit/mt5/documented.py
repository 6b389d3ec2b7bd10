"""
Structures as MetaQuotes' own documentation shows them: real field names in their order, and the values printed there.

The fields are those of the wheel (the conformance suite holds `simulated.structs` against it). The values are copied
from sample outputs, each named below; nothing here was recorded from a terminal. Where a sample leaves fields out, they
are zero or empty here.

* BOOK: "MQL5 Programming for Traders", chapter 7.9 "Native python support" (mql5.com/en/book/advanced/python).
"""

from __future__ import annotations

from typing import Any

from worker.mt5.simulated import structs
from worker.mt5.simulated.structs import Struct

_EMPTY: dict[str, Any] = {"symbol": "", "comment": "", "external_id": "", "request": None}


def _made(kind: type[Any], **fields: Any) -> Struct:
    """Return a structure with these values, and zero or an empty text where the documentation shows none."""
    assert fields.keys() <= set(kind.__match_args__)
    made: Struct = kind([fields.get(name, _EMPTY.get(name, 0)) for name in kind.__match_args__])
    return made


def changed(row: Struct, **fields: Any) -> Struct:
    """Return a documented structure with some other values."""
    return _made(type(row), **(row._asdict() | fields))


# BOOK, "Getting information about a trading account", accountinfo.py
ACCOUNT = _made(
    structs.AccountInfo,
    login=25115284,
    trade_mode=0,
    leverage=100,
    limit_orders=200,
    trade_allowed=True,
    trade_expert=True,
    margin_mode=2,
    currency_digits=2,
    fifo_close=False,
    balance=99511.4,
    profit=41.82,
    equity=99553.22,
    margin=98.18,
    margin_free=99455.04,
    margin_level=101398.67590140559,
    margin_so_call=50.0,
    margin_so_so=30.0,
    name="MetaQuotes Dev Demo",
    server="MetaQuotes-Demo",
    currency="USD",
    company="MetaQuotes Software Corp.",
)

# BOOK, "Getting information about the terminal", terminalinfo.py; algorithmic trading is off in that sample
TERMINAL = _made(
    structs.TerminalInfo,
    community_account=True,
    community_connection=True,
    connected=True,
    trade_allowed=False,
    tradeapi_disabled=False,
    build=2366,
    maxbars=5000,
    codepage=1251,
    ping_last=77850,
    community_balance=707.10668201585,
    company="MetaQuotes Software Corp.",
    name="MetaTrader 5",
    language="Russian",
    path=r"E:\ProgramFiles\MetaTrader 5",
    data_path=r"E:\ProgramFiles\MetaTrader 5",
    commondata_path=r"C:\Users\User\AppData\Roaming\MetaQuotes\Terminal\Common",
)

# BOOK, "Getting information about financial instruments", eurjpy.py; name and description are not shown there
EURJPY = _made(
    structs.SymbolInfo,
    name="EURJPY",
    select=True,
    visible=True,
    time=1585069682,
    digits=3,
    spread=17,
    spread_float=True,
    ticks_bookdepth=10,
    trade_calc_mode=0,
    trade_mode=4,
    trade_exemode=1,
    swap_mode=1,
    swap_rollover3days=3,
    expiration_mode=7,
    filling_mode=1,
    order_mode=127,
    bid=120.024,
    ask=120.041,
    point=0.001,
    trade_tick_value=0.8977708350166538,
    trade_tick_value_profit=0.8977708350166538,
    trade_tick_value_loss=0.8978272580355541,
    trade_tick_size=0.001,
    trade_contract_size=100000.0,
    volume_min=0.01,
    volume_max=500.0,
    volume_step=0.01,
    volume_limit=0.0,
    swap_long=-0.2,
    swap_short=-1.2,
    margin_hedged=100000.0,
    currency_base="EUR",
    currency_profit="JPY",
    currency_margin="EUR",
)

# BOOK, the same section, gbpusdtick.py
GBPUSD_TICK = _made(structs.Tick, time=1585070338, bid=1.17264, ask=1.17279, time_msc=1585070338728, flags=2)

# BOOK, "Checking and sending a trade order", ordercheck.py
CHECKED = _made(
    structs.OrderCheckResult,
    retcode=0,
    balance=10000.17,
    equity=10000.17,
    profit=0.0,
    margin=1000.0,
    margin_free=9000.17,
    margin_level=1000.017,
    comment="Done",
    request=_made(
        structs.TradeRequest,
        action=1,
        magic=234000,
        symbol="USDJPY",
        volume=1.0,
        price=144.128,
        sl=144.028,
        tp=144.228,
        deviation=10,
        type_filling=2,
        comment="python script",
    ),
)

# BOOK, the same section, ordersend.py: the opening; request_id is shown for the closing only, one later
SENT = _made(
    structs.OrderSendResult,
    retcode=10009,
    deal=1445796125,
    order=1468026008,
    volume=0.1,
    price=144.132,
    bid=144.124,
    ask=144.132,
    comment="Request executed",
    request_id=1,
    request=_made(
        structs.TradeRequest,
        action=1,
        magic=234000,
        symbol="USDJPY",
        volume=0.1,
        price=144.132,
        deviation=20,
        type_filling=2,
        comment="python script open",
    ),
)

# BOOK, "Reading the history of orders and deals", historyordersget.py: a limit order that was cancelled
CANCELLED = _made(
    structs.TradeOrder,
    ticket=1437318706,
    time_setup=1661348065,
    time_setup_msc=1661348065049,
    time_done=1661348083,
    time_done_msc=1661348083632,
    type=2,
    type_filling=2,
    state=2,
    reason=3,
    volume_initial=0.01,
    volume_current=0.01,
    price_open=0.99301,
    price_current=0.99311,
    symbol="EURUSD",
)

# BOOK, the same section, historydealsget.py: the first deposit, then what ordersend.py did, with comments cut to 16
DEPOSIT = _made(structs.TradeDeal, ticket=1109160642, time=1632188460, time_msc=1632188460852, type=2, profit=10000.0)
OPENING = _made(
    structs.TradeDeal,
    ticket=1445796125,
    order=1468026008,
    time=1664199450,
    time_msc=1664199450488,
    type=0,
    entry=0,
    magic=234000,
    position_id=1468026008,
    reason=3,
    volume=0.1,
    price=144.132,
    symbol="USDJPY",
    comment="python script op",
)
CLOSING = changed(
    OPENING,
    ticket=1445796155,
    order=1468026041,
    time=1664199452,
    time_msc=1664199452567,
    type=1,
    entry=1,
    price=144.124,
    profit=-0.56,
    comment="python script cl",
)

# BOOK, "Getting the number and list of open positions", positionsget.py
POSITION = _made(
    structs.TradePosition,
    ticket=1468454363,
    time=1664217233,
    time_msc=1664217233239,
    time_update=1664217233,
    time_update_msc=1664217233239,
    type=1,
    identifier=1468454363,
    volume=0.01,
    price_open=0.99145,
    price_current=0.9853,
    swap=-0.01,
    profit=6.24,
    symbol="USDCHF",
)
