"""What a whole flight tells of the broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import takewhile

from worker.domain.broker_facts import BrokerFacts, Kept, Lags
from worker.domain.market import BrokerDeal, BrokerOrder, BrokerPosition, SendReport
from worker.mt5.canary.flight import Log
from worker.mt5.canary.plan import Plan


def facts_of(plan: Plan, log: Log) -> BrokerFacts:
    """Return the measurements of a flight."""
    up, down = log.up, log.down
    return BrokerFacts(
        measured_at=datetime.now(UTC),
        venue=plan.venue.venue,
        account_mode=plan.venue.account_mode,
        version=plan.venue.version,
        symbol=up.sent.symbol,
        lots=up.sent.lots,
        order=_kept(log, log.order.record),
        deal=_kept(log, log.deals.record[0]),
        position=_kept(log, log.position.record),
        comment_sent=len(up.sent.comment),
        lags=Lags(log.order.lag, log.deals.lag, log.position.lag, log.closing_lag),
        clock_offset=plan.clock_offset,
        clock_error=_clock_error(plan, log),
        execution_mode=plan.instrument.execution_mode,
        filling_flags=plan.instrument.filling_flags,
        checks=plan.survey.checks,
        retcode=up.report.retcode,
        deals_by_ticket=log.tickets,
        commission=_charged((*up.last.deals, *down.last.deals)),
        commission_came_later=_charged(log.deals.record) != _charged(up.last.deals),
        latencies={**plan.survey.milliseconds, **up.last.milliseconds, **_send_latency(up.report)},
    )


def _kept(log: Log, record: BrokerOrder | BrokerDeal | BrokerPosition) -> Kept:
    pairs = zip(log.up.sent.comment, record.comment, strict=False)
    same = takewhile(lambda pair: pair[0] == pair[1], pairs)
    return Kept(record.magic == log.up.sent.magic, len(list(same)))


def _clock_error(plan: Plan, log: Log) -> float:
    """Return by how much the deal's time, read by the measured offset, lies after the moment of the send (s)."""
    sent_at = log.up.report.sent_at
    if sent_at is None or log.up.last.deal_clock is None:
        return 0.0
    return round(log.up.last.deal_clock - plan.clock_offset - sent_at.timestamp(), 3)


def _charged(deals: Iterable[BrokerDeal]) -> Decimal:
    return sum((deal.commission + deal.fee for deal in deals), Decimal(0))


def _send_latency(report: SendReport) -> Mapping[str, float]:
    if report.sent_at is None or report.answered_at is None:
        return {}
    return {"order_send": round((report.answered_at - report.sent_at).total_seconds() * 1000, 3)}
