"""The trades that the demo sends, as RPM would write them, and what must come back for each."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.examples import example_rejected_output, example_rpm_output

BUY, SELL = 1, -1
ORDER_TIMEOUT_SECONDS = 3  # longer than a slow fill takes
UNKNOWN_HORIZON_SECONDS = 1  # a terminal that is not there shows everything at once
_DRIFT_PIPS = 2  # prices move while an order is on its way
_LONG_AGO = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the confirmation must say; None where anything goes."""

    status: str
    reason: str | None = None
    executed_units: str = "0"
    deals: int = 0
    sends: int = 0
    pips: int | None = None  # of slippage against us, give or take


@dataclass(frozen=True, slots=True)
class Sample:
    """One message, and the story it tells. Nobody waits in turn for a `patient` one: it takes seconds by its nature."""

    story: str
    symbol: str
    body: bytes
    expected: Expected
    copies: int = 1
    patient: bool = False
    for_a_person: bool = False  # it becomes a dead letter as well
    correlation_id: str = field(default_factory=lambda: f"demo-{secrets.token_hex(6)}")


def samples() -> list[Sample]:
    """Return all trades, approved at this moment; those that take seconds first, so that the others pass them."""
    return [*_patient(), *_executed(), *_refused(), replace(_broken(), for_a_person=True)]


def _patient() -> list[Sample]:
    return [
        _trade("accepted, filled 2 s later", "GBPUSD.slow", BUY, "50000", _filled("50000"), patient=True),
        _trade("requoted twice, then filled", "EURUSD.requote", BUY, "20000", _filled("20000", sends=3), patient=True),
        _trade("cancelled after 3 s", "ETHUSD.pending", BUY, "1", _not("expired", "order_timeout", 1), patient=True),
        _trade("lost, proved absent, resent", "AUDUSD.notsent", BUY, "20000", _filled("20000", sends=2), patient=True),
        replace(_beyond_proof(), for_a_person=True),
    ]


def _executed() -> list[Sample]:
    return [
        _trade("a currency pair, 5 digits", "EURUSD", BUY, "100000", _filled("100000")),
        _trade("sold", "GBPUSD", SELL, "30000", _filled("30000")),
        _trade("a yen pair, 3 digits", "USDJPY", BUY, "20000", _filled("20000")),
        _trade("gold, in ounces", "XAUUSD", BUY, "10", _filled("10")),
        _trade("an index", "US500", SELL, "2.5", _filled("2.5")),
        _trade("a crypto currency", "BTCUSD", BUY, "0.25", _filled("0.25")),
        _trade("three deals for one order", "EURUSD.multi", BUY, "300000", _filled("300000", deals=3)),
        _trade("3 pips of slippage", "AUDUSD.slip", SELL, "40000", _filled("40000", pips=3)),
        _trade("published twice: one order", "EURJPY", BUY, "10000", _filled("10000"), copies=2),
        _trade("the reply was lost: found", "BTCUSD.lostreply", SELL, "0.5", _filled("0.5")),
        _trade("60 % filled", "EURJPY.partial", SELL, "100000", Expected("partially_filled", None, "60000", 1, 1)),
    ]


def _refused() -> list[Sample]:
    return [
        _trade("the broker refuses", "USDJPY.reject", BUY, "10000", _not("rejected", "broker_rejection", 1)),
        _trade("a spread of 50 pips", "XAUUSD.wide", BUY, "10", _not("rejected", "spread_too_wide")),
        _trade("the market is closed", "EURUSD.closed", BUY, "10000", _not("rejected", "market_closed")),
        _trade("not on the volume step", "GBPUSD", BUY, "12345", _not("rejected", "volume_not_representable")),
        _trade("an unknown symbol", "EURXYZ", BUY, "10000", _not("rejected", "unknown_symbol")),
        _trade("approved 10 minutes ago", "AUDUSD", BUY, "10000", _not("expired", "approval_expired"), age=_LONG_AGO),
        _rejected_by_rpm(),
    ]


def _beyond_proof() -> Sample:
    never = _not("unresolved", "outcome_unknown", 1)
    return _trade("lost, and not to be found", "BTCUSD.nohistory", SELL, "0.25", never, patient=True)


def _filled(units: str, *, deals: int = 1, sends: int = 1, pips: int | None = None) -> Expected:
    return Expected("filled", None, units, deals, sends, pips)


def _not(status: str, reason: str, sends: int = 0) -> Expected:
    return Expected(status, reason, sends=sends)


def _trade(
    story: str,
    symbol: str,
    direction: int,
    units: str,
    expected: Expected,
    *,
    age: timedelta = timedelta(0),
    copies: int = 1,
    patient: bool = False,
) -> Sample:
    order_id = f"RPM-{secrets.token_hex(6)}"
    message = example_rpm_output(
        symbol=symbol,
        direction=direction,
        units=float(units),
        timestamp=datetime.now(UTC) - age,
        order_id=order_id,
    )
    return Sample(story, symbol, _written(message), expected, copies, patient)


def _rejected_by_rpm() -> Sample:
    message = example_rejected_output(symbol="GBPUSD")
    return Sample("RPM did not approve it", "GBPUSD", _written(message), _not("rejected", "rpm_rejected"))


def _broken() -> Sample:
    message = example_rpm_output(symbol="EURUSD")
    message["decision"]["approved_trade"]["position_units"] = "ten thousand"
    expected = _not("rejected", "schema_invalid")
    return Sample("a broken message", "EURUSD", _written(message), expected)


def _written(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def mistakes(sample: Sample, told: dict[str, Any]) -> list[str]:
    """Return what a confirmation says otherwise than expected, a sentence each."""
    expected = sample.expected
    units = told["executed_units"]
    wanted: dict[str, tuple[object, object]] = {
        "status": (expected.status, told["status"]),
        "reason": (expected.reason, told["rejection_reason"]),
        "executed units": (Decimal(expected.executed_units), Decimal(str(units or 0))),
        "deals": (expected.deals, len(told["deals"])),
        "attempts": (expected.sends, told["attempts"]),
    }
    slipped = told["adverse_slippage_pips"]
    if expected.pips is not None and (slipped is None or abs(slipped - expected.pips) > _DRIFT_PIPS):
        wanted["pips of slippage"] = (f"about {expected.pips}", slipped)
    return [
        f"{sample.symbol} ({sample.story}): {name} should be {should}, is {is_}"
        for name, (should, is_) in wanted.items()
        if should != is_
    ]
