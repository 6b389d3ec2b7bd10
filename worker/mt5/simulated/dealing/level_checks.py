"""Why a price, a stop loss or a take profit cannot be where it is asked for, or cannot be changed."""

from __future__ import annotations

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.dealing import levels
from worker.mt5.simulated.dealing.asked import ACCEPTABLE, Asked
from worker.mt5.simulated.dealing.kinds import PENDING, STOP_LIMITS
from worker.mt5.simulated.dealing.levels import Level
from worker.mt5.simulated.dealing.terms import standing_at
from worker.mt5.simulated.money.valuation import side_of
from worker.mt5.simulated.prices.prices import Quote

_HIGHEST_PRICE = 1e9
_ABOUT_ORDERS = (mt5.TRADE_ACTION_PENDING, mt5.TRADE_ACTION_MODIFY)


def price(asked: Asked) -> int:
    """Require a pending order to be on its side of the market, and no nearer to it than the stops level."""
    terms, room = asked.terms, asked.instrument.stops_level
    fits = _has_room(asked, levels.of_order(asked.type, terms.price), asked.quote, room)
    if fits and asked.type in STOP_LIMITS:
        fits = _has_room(asked, levels.of_stoplimit(asked.type, terms.stoplimit), _flat(terms.price), room)
    return ACCEPTABLE if fits else mt5.TRADE_RETCODE_INVALID_PRICE


def stops(asked: Asked) -> int:
    """Require stops to be on their sides of the market, or of the order's price; what closes a position has none."""
    if asked.closes or not (asked.request.sl or asked.request.tp):
        return ACCEPTABLE
    terms, room = asked.terms, max(asked.instrument.stops_level, 1)
    reference = asked.quote
    if asked.request.action in _ABOUT_ORDERS:
        reference = _flat(terms.stoplimit or terms.price)
    asked_stops = levels.stops(side_of(asked.type), terms.sl, terms.tp)
    fit = all(_has_room(asked, level, reference, room) for level in asked_stops)
    return ACCEPTABLE if fit else mt5.TRADE_RETCODE_INVALID_STOPS


def frozen(asked: Asked) -> int:
    """Leave alone what the market may trigger any moment: nothing within the freeze level is changed or closed."""
    freeze = asked.instrument.freeze_level
    if not freeze or not any(level.distance(asked.quote, asked.instrument) <= freeze for level in _waiting(asked)):
        return ACCEPTABLE
    return mt5.TRADE_RETCODE_FROZEN


def no_changes(asked: Asked) -> int:
    """Tell a request that would change nothing."""
    (subject,), terms = asked.subjects, asked.terms
    if asked.request.action == mt5.TRADE_ACTION_MODIFY:
        same = terms == standing_at(subject)
    else:
        same = (terms.sl, terms.tp) == (subject.sl, subject.tp)
    return mt5.TRADE_RETCODE_NO_CHANGES if same else ACCEPTABLE


def _waiting(asked: Asked) -> list[Level]:
    """Return the levels at which the market would trigger what the request names."""
    if asked.request.action in (mt5.TRADE_ACTION_MODIFY, mt5.TRADE_ACTION_REMOVE):
        return [levels.of_order(order.type, order.price_open) for order in asked.subjects if order.type in PENDING]
    return [level for position in asked.subjects for level in levels.of_position(position)]


def _has_room(asked: Asked, level: Level, market: Quote, points: int) -> bool:
    instrument = asked.instrument
    if not 0 < level.price < _HIGHEST_PRICE or instrument.rounded(level.price) != level.price:
        return False
    return level.distance(market, instrument) >= points


def _flat(price: float) -> Quote:
    """Return a market that is at one price."""
    return Quote(price, price, 0)
