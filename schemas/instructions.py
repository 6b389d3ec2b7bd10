"""
Instructions that would change the order and that the worker does not carry out.

The worker opens a deal at the market, and nothing else. A message that asks for more is refused, because a trade
without the stop loss that was asked for is not the trade that was approved. Looked for in the approved trade, in the
decision around it and at the top of the message; null means "not asked for".
"""

from __future__ import annotations

from typing import Any

from schemas.refusals import quoted
from schemas.strict_json import JsonValue

_REFUSED_FIELDS = (
    "order_type",
    "limit_price",
    "stop_price",
    "stop_loss",
    "take_profit",
    "sl",
    "tp",
    "expiration",
)

INSTRUCTION_SCHEMAS: dict[str, Any] = {
    "order_type": {
        "type": ["string", "null"],
        "pattern": "^[Mm][Aa][Rr][Kk][Ee][Tt]$",
        "description": "Only market orders are sent; anything else is refused.",
    }
} | {
    name: {"type": "null", "description": "Not supported: refused unless null."}
    for name in _REFUSED_FIELDS
    if name != "order_type"
}


def unsupported_instruction(value: JsonValue) -> str | None:
    """Name the instructions of a message that the worker does not carry out, as a sentence; None if there are none."""
    found = [
        f"{path}{name} is {quoted(part[name])}"
        for path, part in _places(value)
        for name in _REFUSED_FIELDS
        if not _is_carried_out(name, part.get(name))
    ]
    return f"{', '.join(found)}: only plain market orders are sent" if found else None


def _places(value: JsonValue) -> list[tuple[str, dict[str, JsonValue]]]:
    top = value if isinstance(value, dict) else {}
    decision = _member(top, "decision")
    approved = _member(decision, "approved_trade")
    return [("", top), ("decision.", decision), ("decision.approved_trade.", approved)]


def _member(parent: dict[str, JsonValue], name: str) -> dict[str, JsonValue]:
    member = parent.get(name)
    return member if isinstance(member, dict) else {}


def _is_carried_out(name: str, found: JsonValue) -> bool:
    if found is None:
        return True
    return name == "order_type" and isinstance(found, str) and found.lower() == "market"
