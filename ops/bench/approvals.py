"""Approved trades as RPM writes them, made from one prebuilt body: a measurement must not wait for its own JSON."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SYMBOLS = ("EURUSD", "GBPUSD", "AUDUSD", "USDJPY", "EURJPY")

_EXAMPLE = Path(__file__).parents[2] / "schemas" / "examples" / "rpm-output.approved.json"
_ORDER_ID, _NOW = "<order id>", "<now>"


@dataclass(frozen=True)
class Approval:
    """A message to publish; its order id is its trade id."""

    trade_id: str
    symbol: str
    body: bytes

    @property
    def routing_key(self) -> str:
        """What RPM publishes it under."""
        return f"approved.main.{self.symbol}"


def approvals(symbols: Sequence[str] = SYMBOLS, **changes: Any) -> Iterator[Approval]:
    """Make approvals without end, approved at the moment they are taken; `changes` are fields of the approved trade."""
    bodies = [(symbol, _body(symbol, changes)) for symbol in symbols]
    series = secrets.token_hex(6)
    for number, (symbol, body) in enumerate(itertools.cycle(bodies)):
        trade_id = f"bench-{series}-{number}"
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        yield Approval(trade_id, symbol, body.replace(_ORDER_ID, trade_id).replace(_NOW, now).encode())


def _body(symbol: str, changes: dict[str, Any]) -> str:
    example: dict[str, Any] = json.loads(_EXAMPLE.read_text())
    trade = {"symbol": symbol, "position_units": 10_000, "timestamp": _NOW, "intended_price": None}
    decision = example["decision"]
    approved = decision["approved_trade"] | trade | changes
    message = example | {"decision": decision | {"order_id": _ORDER_ID, "approved_trade": approved}, "timestamp": _NOW}
    return json.dumps(message)
