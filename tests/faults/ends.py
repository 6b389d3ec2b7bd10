"""How a trade of each behaviour may end (contract, sections 4 and 8), whatever breaks around it; and no other way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tests.faults.verdict import Outcome
from tests.fixtures.rpm import Sent
from tests.fixtures.subscriber import Confirmation

MAX_TRADE_AGE_SECONDS = 60
MAX_RETRIES = 3

_FILLED = ("filled", None)
SENT: dict[str, Outcome] = {
    "": _FILLED,
    "slip": _FILLED,
    "partial": ("partially_filled", None),
    "multi": _FILLED,
    "pending": ("expired", "order_timeout"),
    "slow": _FILLED,
    "race": _FILLED,
    "late": _FILLED,
    "requote": _FILLED,
    "timeout": _FILLED,
    "lostreply": _FILLED,
    "hang": _FILLED,
    "hidden": _FILLED,
    "nocomment": _FILLED,
    "nohistory": ("unresolved", "outcome_unknown"),
    "notsent": _FILLED,
    "hangnot": _FILLED,
    "neversent": ("error", "network_error"),
    "reject": ("rejected", "broker_rejection"),
    "jump": ("rejected", "price_moved"),
    "closed": ("rejected", "market_closed"),  # it is the answer to the send that says so
}
REFUSED: dict[str, Outcome] = {
    "disabled": ("rejected", "symbol_not_tradable"),
    "closeonly": ("rejected", "symbol_not_tradable"),
    "wide": ("rejected", "spread_too_wide"),
    "stale": ("rejected", "stale_tick"),
    "notick": ("rejected", "no_market_data"),
    "crossed": ("rejected", "invalid_market_data"),
    "nomargin": ("rejected", "margin_insufficient"),
}
BEHAVIOURS = SENT | REFUSED  # by suffix, in a calm


def ends(sent: Sent, told: Sequence[Confirmation]) -> set[Outcome]:
    """Return the outcomes that the contract allows this trade, given what was told of it."""
    suffix, last = sent.approved["symbol"].partition(".")[2], _last(told)
    allowed, is_old = {BEHAVIOURS[suffix]}, _age(sent, last) >= MAX_TRADE_AGE_SECONDS
    if is_old:
        allowed |= {("expired", "approval_expired"), ("expired", "terminal_unavailable")}
    was_in_doubt = any(one["status"] == "unresolved" for one in told)
    if suffix in SENT and (is_old or was_in_doubt or last["attempts"] >= MAX_RETRIES):
        allowed.add(("error", "network_error"))
    return allowed


def has_ended(sent: Sent, told: Sequence[Confirmation]) -> bool:
    """Tell whether the latest confirmation is one that this trade may end with."""
    return bool(told) and _last(told).outcome in ends(sent, told)


def _last(told: Sequence[Confirmation]) -> Confirmation:
    return max(told, key=lambda one: int(one["version"]))


def _age(sent: Sent, last: Confirmation) -> float:
    """Return the approval's age when the confirmation was written, in seconds."""
    approved = datetime.fromisoformat(sent.approved["timestamp"]).replace(tzinfo=UTC)
    return (datetime.fromisoformat(last["timestamp"]) - approved).total_seconds()
