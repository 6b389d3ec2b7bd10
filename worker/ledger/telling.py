"""Audit events in a few words: what happened, and what matters of its payload. All of it is in the event itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from worker.domain.instrument import plain

Payload = Mapping[str, Any]

_SIDES = {1: "buy", -1: "sell"}
_SHORT_CHARACTERS = 60


def told(kind: str, payload: Payload) -> tuple[str, str]:
    """Return an event's name and its details; one of a kind that is not known here is told by its short values."""
    if kind in _WORDS:
        what, detail = _WORDS[kind]
        return what.format_map(_Gaps(payload)), detail(payload)
    return kind.replace("_", " "), _in_short(payload)


class _Gaps(dict[str, Any]):
    """A payload whose missing values leave a gap: an older program may have written less."""

    def __missing__(self, key: str) -> str:
        return "?"


def _in_short(payload: Payload) -> str:
    short = {name: f"{name}={value}" for name, value in payload.items() if isinstance(value, str | int | float)}
    return " ".join(part for name, part in short.items() if name == "reason" or len(part) <= _SHORT_CHARACTERS)


def _one(name: str) -> Callable[[Payload], str]:
    return lambda payload: str(payload.get(name) or "")


def _sentence(form: str) -> Callable[[Payload], str]:
    return lambda payload: form.format_map(_Gaps(payload))


def _trade(payload: Payload) -> str:
    side = _SIDES.get(payload.get("direction", 0), "?")
    units = payload.get("units")
    return f"trade {payload.get('trade_id')}: {side} {units and plain(Decimal(units))} {payload.get('symbol')}"


def _answer(payload: Payload) -> str:
    proof, detail = payload.get("proof") or "", payload.get("detail") or ""
    return f"{proof}: {detail}" if detail else str(proof)


def _found(payload: Payload) -> str:
    order = f"order {payload['order_id']}" if payload.get("order_id") else "no order"
    return f"{order} {payload.get('order_state') or ''}".strip() + f", deals: {len(payload.get('deals') or ())}"


def _deals(payload: Payload) -> str:
    return ", ".join(f"deal {deal.get('deal_id')}, {deal.get('lots')} lots" for deal in payload.get("deals") or ())


def _ended(payload: Payload) -> str:
    status = ", ".join(str(payload[name]) for name in ("status", "reason") if payload.get(name))
    if payload.get("executed_lots") not in {None, "0"}:
        price = f" at {payload['fill_price']}" if payload.get("fill_price") else ""
        return f"{status}: {payload['executed_lots']} of {payload.get('requested_lots')} lots{price}"
    return f"{status}: {payload['detail']}" if payload.get("detail") else status


def _resolved(payload: Payload) -> str:
    deals = f" by deals {payload['deals']}" if payload.get("deals") else ""
    return f"{str(payload.get('verdict')).replace('_', ' ')}{deals}: {payload.get('reason')}"


def _alert(payload: Payload) -> str:
    parts = [str(payload.get("alert") or "").replace("_", " "), str(payload.get("detail") or "") or _deals(payload)]
    return ": ".join(filter(None, parts))


def _cancel(payload: Payload) -> str:
    code = "" if payload.get("retcode") is None else f"code {payload['retcode']} "
    return f"{code}{payload.get('detail') or ''}".strip()


def _halt(payload: Payload) -> str:
    return f"{payload.get('symbol') or 'the account'}: {payload.get('reason')}"


_WORDS: dict[str, tuple[str, Callable[[Payload], str]]] = {
    "received": ("written down", _trade),
    "repeated": ("delivered again", _trade),
    "reopened": ("reopened", _sentence("after {after}, by replay {replay_id}")),
    "submitting": ("attempt {attempt} written ahead", _sentence("{lots} lots of {symbol}, magic {magic}")),
    "answered": ("attempt {attempt} judged", _answer),
    "interrupted": ("interrupted", _one("detail")),
    "found": ("attempt {attempt} found", _found),
    "proved_absent": (
        "attempt {attempt} proved absent",
        _sentence("{looks} looks without a trace, {seconds_between_looks} s apart: it was not executed"),
    ),
    "deals": ("deals recorded", _deals),
    "cancelling": ("cancel decided", _sentence("order {order_id} was not filled in time")),
    "cancel_answered": ("cancel answered", _cancel),
    "settled": ("settled", _ended),
    "confirmed": ("confirmation {version} made", _one("status")),
    "resolved": ("resolved by hand", _resolved),
    "alert": ("alert", _alert),
    "dead_lettered": ("dead letter taken in", _sentence("{reason}, letter {letter_id}")),
    "letter_discarded": ("dead letter discarded", _sentence("{reason} (letter {letter_id})")),
    "replay_ordered": ("replay ordered", _sentence("{reason} (letter {letter_id})")),
    "refused": ("refused", _sentence("{reason}: {detail}")),
    "halting": ("halt begins", _halt),
    "halted": ("halted", _halt),
    "resumed": ("resumed", _halt),
    "lease_taken": ("worker takes over", _sentence("{holder}, lease {epoch}")),
    "lease_released": ("worker steps down", _sentence("{holder}, lease {epoch}")),
}
