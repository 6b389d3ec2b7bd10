"""A busy day at the desk: trades of every kind of outcome, and messages that are dead-lettered for every reason."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, cycle, islice

import pika

from tests.acceptance.desk import Desk, eventually
from tests.fixtures.rpm import LONG, SHORT, JsonObject, Sent, approval, changed, rejection

ENDS: dict[str, tuple[str, str | None]] = {
    "EURUSD.nohistory": ("unresolved", "outcome_unknown"),
    "AUDUSD.neversent": ("error", "network_error"),
    "EURUSD.pending": ("expired", "order_timeout"),
    "GBPUSD.slow": ("filled", None),
    "EURUSD": ("filled", None),
    "XAUUSD": ("filled", None),
    "GBPUSD.slip": ("filled", None),
    "EURUSD.partial": ("partially_filled", None),
    "BTCUSD.multi": ("filled", None),
    "USDJPY.requote": ("filled", None),
    "USDJPY.reject": ("rejected", "broker_rejection"),
    "EURUSD.closed": ("rejected", "market_closed"),
    "XAUUSD.wide": ("rejected", "spread_too_wide"),
    "GBPUSD.stale": ("rejected", "stale_tick"),
    "AUDUSD.nomargin": ("rejected", "margin_insufficient"),
    "EURXYZ": ("rejected", "unknown_symbol"),
}
# Those that keep the terminal or an operator busy come once however long the day is.
RARE = ("EURUSD.nohistory", "AUDUSD.neversent", "EURUSD.pending", "GBPUSD.slow")
HOSTILE = "\x1b[2J[red]\u202eEUR\u5186\x07"  # clears the screen, looks like markup, turns text around
WIDE = "[red]\u5186\u5186\u5186\u5186\U0001f4b6"  # printable, looks like markup, and takes twice the columns
LONG_NAME = "RPM-" + "\u5186" * 60  # 184 bytes, 124 columns
_STEP = {"BTCUSD": 0.01, "XAUUSD": 1.0}
_SHORT = 100  # trades
_HUGE = b" " * 5_000_000


@dataclass
class Day:
    """What was published, and what must be seen of it."""

    trades: list[Sent] = field(default_factory=list)
    ends: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    letters: Counter[str] = field(default_factory=Counter)
    seen_to: Counter[str] = field(default_factory=Counter)
    correlations: list[str] = field(default_factory=list)

    @property
    def is_long(self) -> bool:
        """Whether there is time to look at everything, or at one of each sort."""
        return len(self.trades) > _SHORT

    @property
    def waiting(self) -> Counter[str]:
        """The dead letters that nobody has seen to."""
        return self.letters - self.seen_to

    def expect(self, sent: Sent, status: str, reason: str | None = None) -> Sent:
        """Take note of a trade."""
        self.trades.append(sent)
        self.ends[status, reason] += 1
        self.correlations.append(sent.correlation)
        return sent


def symbols(count: int) -> Iterator[str]:
    """Name so many symbols, every outcome among them, the slow ones first."""
    ordinary = [symbol for symbol in ENDS if symbol not in RARE]
    return islice(chain(RARE, cycle(ordinary)), count)


def publish_a_day(desk: Desk, count: int) -> Day:
    """Publish so many mixed trades, and everything that is no trade; return when the desk has taken all of it in."""
    day = Day()
    _not_in_time(desk, day)
    for number, symbol in enumerate(symbols(count)):
        units = round(_STEP.get(symbol.partition(".")[0], 1_000.0) * (number + 1), 8)
        sent = desk.publish(approval(symbol, units, SHORT if number % 3 == 2 else LONG))
        day.expect(sent, *ENDS[symbol])
    _odd_trades(desk, day)
    _letters(desk, day)
    for correlation in day.correlations:
        desk.downstream.wait_for(correlation, timeout=60)
    _conflicts(desk, day)
    eventually(
        lambda: len(desk.listing("dlq", "list")) == day.letters.total(), "not every dead letter is taken in", seconds=30
    )
    return day


def _odd_trades(desk: Desk, day: Day) -> None:
    """Publish what RPM rejected, what is too old, a repeat, and names that a sender can make up."""
    day.expect(desk.publish(rejection()), "rejected", "rpm_rejected")
    day.expect(desk.publish(approval("EURUSD", 901_000.0, age=3600)), "expired", "approval_expired")
    day.expect(desk.publish(approval(WIDE, 902_000.0)), "rejected", "unknown_symbol")
    named = day.expect(desk.publish(approval("EURUSD", 903_000.0, order_id=LONG_NAME)), "filled")
    desk.publish(named.message)


def _letters(desk: Desk, day: Day) -> None:
    """Publish one message for each reason to become a dead letter; what trades themselves became is counted too."""
    broken: dict[str, JsonObject | bytes] = {
        "malformed_json": b'{"decision": \x1b[31m',
        "schema_invalid": changed(approval(), "decision.approved_trade.position_units", HOSTILE),
        "unsupported_instruction": changed(approval(), "decision.approved_trade.stop_loss", 1.07),
        "message_too_large": _HUGE,
    }
    for reason, message in broken.items():
        _refused(day, reason, desk.publish(message, correlation_id=f"{reason}-{uuid.uuid4()}"))
    desk.rpm.do(lambda channel: channel.queue_bind(desk.queue, "trades", "approved.other.#"))
    for reason, account in (("account_mismatch", "other"), ("unknown_account", "nobody")):
        message = approval("EURUSD", 904_000.0)
        _refused(day, reason, desk.publish(message, routing_key=f"approved.{account}.EURUSD"))
    desk.rpm.publish(
        json.dumps(approval("GBPUSD", 905_000.0)).encode(),
        exchange="trades.dlx",
        routing_key="approved.main.GBPUSD",
        message_id=str(uuid.uuid4()),
        headers={"failure-reason": "internal_error", "failure-detail": f"a defect {HOSTILE}", "account": "main"},
    )
    day.letters["internal_error"] += 1
    for letter in ("network_error", "outcome_unknown"):
        day.letters[letter] += sum(count for (_, reason), count in day.ends.items() if reason == letter)


def _refused(day: Day, reason: str, sent: Sent) -> None:
    day.letters[reason] += 1
    day.correlations.append(sent.correlation)


def _conflicts(desk: Desk, day: Day) -> None:
    """Reuse the name of a trade for another one."""
    first = next(sent for sent in day.trades if sent.approved and sent.approved["symbol"] == "XAUUSD")
    other = changed(first.message, "decision.approved_trade.position_units", 906.0)
    told = desk.confirmed(other, correlation_id=f"conflict-{uuid.uuid4()}")
    assert told.outcome == ("rejected", "identity_conflict")
    day.letters["identity_conflict"] += 1


def _not_in_time(desk: Desk, day: Day) -> None:
    """Let RabbitMQ itself give up a message: too old for its queue before anybody took it."""
    queue = f"slow-{uuid.uuid4()}"
    dead = {"x-dead-letter-exchange": "trades.dlx", "x-dead-letter-routing-key": "approved.main.EURUSD"}
    message = json.dumps(approval("EURUSD", 907_000.0)).encode()
    desk.rpm.do(lambda channel: channel.queue_declare(queue, arguments=dead))
    properties = pika.BasicProperties(expiration="0", message_id=str(uuid.uuid4()), delivery_mode=2)
    desk.rpm.do(lambda channel: channel.basic_publish("", queue, message, properties))
    day.letters["expired"] += 1
