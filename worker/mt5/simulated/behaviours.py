"""
What happens to an order, chosen by the suffix of its symbol: the test cards of this broker.

A behaviour says what the market looks like, how the first sends of a trade fail, what is executed, how it is
answered, and what a cancel does. `TABLE` is the whole list; everything else in this package only obeys it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from math import inf

from worker.mt5.simulated import constants as mt5


class Reply(Enum):
    """How an executed order is answered."""

    TRUE = auto()
    TIMEOUT = auto()  # 10012, although executed
    VAGUE = auto()  # 10009 without deal and price
    LOST = auto()  # the pipe breaks
    NEVER = auto()  # the call does not return


class Fill(Enum):
    """What is executed of an accepted order."""

    WHOLE = auto()
    PARTIAL = auto()  # 60 %, the broker cancels the rest
    THREE_DEALS = auto()
    LATER = auto()  # nothing yet: the order stays open


class Cancel(Enum):
    """What a request to cancel an open order leads to."""

    CONFIRMED = auto()
    FILLED_FIRST = auto()  # refused: the order is filled in that very moment
    DEAL_FOLLOWS = auto()  # confirmed, and a deal appears all the same


class Feed(Enum):
    """What the price feed shows."""

    LIVE = auto()
    FROZEN = auto()
    SILENT = auto()
    CROSSED = auto()


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One row of the table; every field's default is the ordinary broker."""

    feed: Feed = Feed.LIVE
    spread_pips: float | None = None  # None: the instrument's own
    trade_mode: int = mt5.SYMBOL_TRADE_MODE_FULL
    market_closed: bool = False
    margin_factor: float = 1.0
    jump_pips: float = 0.0  # between the check of an order and its sending, against the order
    failing_sends: float = 0  # how many sends of one trade fail before one is executed
    failure: int | Reply = mt5.TRADE_RETCODE_REJECT  # how they fail: a return code, or no answer
    fill: Fill = Fill.WHOLE
    slip_pips: float = 0.0
    fills_after_ms: int | None = None  # None: an order that stays open is never filled by itself
    reply: Reply = Reply.TRUE
    visible_after_ms: int = 0  # until then no look-up shows the order, its deal and its position
    unreadable: bool = False  # look-ups for the symbol fail
    comment: str | None = None  # the broker's own words in place of the order's
    cancel: Cancel = Cancel.CONFIRMED
    deal_follows_after_ms: int = 3000


TABLE = {
    "": Behaviour(),
    # executed, each in its own way
    "slip": Behaviour(slip_pips=3),
    "partial": Behaviour(fill=Fill.PARTIAL),
    "multi": Behaviour(fill=Fill.THREE_DEALS),
    "nocomment": Behaviour(comment="filled by LP-7"),
    "hidden": Behaviour(reply=Reply.VAGUE, visible_after_ms=2000),
    # accepted, and then
    "pending": Behaviour(fill=Fill.LATER),
    "slow": Behaviour(fill=Fill.LATER, fills_after_ms=2000),
    "race": Behaviour(fill=Fill.LATER, cancel=Cancel.FILLED_FIRST),
    "late": Behaviour(fill=Fill.LATER, cancel=Cancel.DEAL_FOLLOWS),
    # refused
    "requote": Behaviour(failing_sends=2, failure=mt5.TRADE_RETCODE_REQUOTE),
    "reject": Behaviour(failing_sends=inf, failure=mt5.TRADE_RETCODE_REJECT),
    # executed, and not answered truly
    "timeout": Behaviour(reply=Reply.TIMEOUT),
    "lostreply": Behaviour(reply=Reply.LOST),
    "hang": Behaviour(reply=Reply.NEVER),
    "nohistory": Behaviour(reply=Reply.LOST, unreadable=True),
    # not executed, and not answered either
    "notsent": Behaviour(failing_sends=1, failure=Reply.LOST),
    "neversent": Behaviour(failing_sends=inf, failure=Reply.LOST),
    "hangnot": Behaviour(failing_sends=1, failure=Reply.NEVER),
    # what the checks before a send are for
    "closed": Behaviour(market_closed=True),
    "disabled": Behaviour(trade_mode=mt5.SYMBOL_TRADE_MODE_DISABLED),
    "closeonly": Behaviour(trade_mode=mt5.SYMBOL_TRADE_MODE_CLOSEONLY),
    "wide": Behaviour(spread_pips=50),
    "stale": Behaviour(feed=Feed.FROZEN),
    "notick": Behaviour(feed=Feed.SILENT),
    "crossed": Behaviour(feed=Feed.CROSSED),
    "nomargin": Behaviour(margin_factor=1e9),
    "jump": Behaviour(jump_pips=100, failing_sends=inf, failure=mt5.TRADE_RETCODE_REQUOTE),
}
