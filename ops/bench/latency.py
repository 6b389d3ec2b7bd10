"""
How long a trade waits for the worker: from the message to `order_send`, and from the fill to the confirmation.

Messages are published at a steady rate by a process of its own. The floor is measured in turn with the worker, at the
same rate: one hop through a quorum queue and one commit of a row.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from ops.bench.bench import Bench
from ops.bench.channel import Delivery, open_channel, open_connection
from ops.bench.contestants import floor, steps
from ops.bench.desk import CONFIRMATIONS, Desk, open_desk
from ops.bench.figures import Claim, Figure, Section, at_most, quantile
from ops.bench.publishing import steady_publisher
from ops.bench.waiting import Waiting

FLOOR, SEND, CONFIRM = "hop and commit (the floor)", "message to order_send", "fill to confirmation"
RATES = (10, 100, 500)
_SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
_WARM = 20  # the first twentieth is not counted: new connections, prepared statements
_KEPT_UP = 1.05  # confirmations may take this much longer than the publishing did, or a queue's length is measured
_PATIENCE_SECONDS = 300

_TIMES = """
select e.trade_id, extract(epoch from min(a.sent_at))::float8, extract(epoch from max(d.time))::float8
from ledger.executions e
join ledger.attempts a using (execution_id)
join ledger.deals d using (execution_id)
where e.trade_id = any(%s) and e.state = 'filled'
group by e.trade_id
"""

_NOTES = (
    """Clocks: published by the publisher's clock, sent and filled by the ledger (the attempt's time right before
    order_send, the deal's time), confirmed by the subscriber's clock; all on this machine. The terminal rounds a deal's
    time up to a millisecond: fill to confirmation is up to 1 ms more than shown.""",
    """The floor: a program that consumes from a quorum queue and commits a row per message, what waits together in one
    commit; from publishing to the commit's end.""",
    """Quantiles are those of a run, and the figures their medians over the runs. Where a run has fewer than 1000
    messages its p99.9 is its slowest.""",
)


@dataclass
class Found:
    """Latencies in milliseconds by what was timed, a list for each run; and how many trades a second were confirmed."""

    latencies: dict[str, list[list[float]]] = field(default_factory=lambda: {FLOOR: [], SEND: [], CONFIRM: []})
    achieved: list[float] = field(default_factory=list)
    kept_up: bool = True


@dataclass(frozen=True)
class Turn:
    """One rate, and how many seconds of it."""

    rate: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.rate} trades/s"


def measure(bench: Bench) -> Section:
    """Let floor and worker take turns at each rate."""
    seconds = dict(zip(RATES, (4, 4, 4) if bench.options.quick else (30, 20, 10), strict=True))
    found = {rate: Found() for rate in RATES}
    with open_desk(bench.services, bench.folder) as desk:
        steps.prepare(desk.amqp_url, desk.database_url)
        _warm_up(desk)
        turns = [Turn(rate, seconds[rate]) for _run in range(bench.options.runs) for rate in RATES]
        for turn in bench.steps("latency", turns):
            _time_floor(desk, turn, found[turn.rate])
            _time_worker(desk, turn, found[turn.rate])
        desk.stop_worker()
    return section(found)


def _warm_up(desk: Desk) -> None:
    desk.start_worker()
    desk.publish(500)
    desk.until_confirmed(500)
    desk.forget_confirmations()


def _time_floor(desk: Desk, turn: Turn, found: Found) -> None:
    work = floor.take(desk.amqp_url, desk.database_url, turn.rate * turn.seconds)
    published, committed = _publish_and(work, desk, turn, steps.QUEUE)
    found.latencies[FLOOR].append(_between(published, committed, published))


def _time_worker(desk: Desk, turn: Turn, found: Found) -> None:
    work = _subscribe(desk.amqp_url, turn.rate * turn.seconds)
    published, confirmed = _publish_and(work, desk, turn, "trades")
    sent, filled = _ledger_times(desk, list(published))
    found.latencies[SEND].append(_between(published, sent, published))
    found.latencies[CONFIRM].append(_between(filled, confirmed, published))
    found.achieved.append((len(confirmed) - 1) / _span(confirmed))
    found.kept_up = found.kept_up and _span(confirmed) < _span(published) * _KEPT_UP


def _publish_and(
    work: Awaitable[dict[str, float]], desk: Desk, turn: Turn, exchange: str
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Publish to an exchange and do this work meanwhile; return the times of both."""
    with steady_publisher(desk.amqp_url, turn.rate, turn.seconds, exchange) as publisher:
        done = asyncio.run(_in_time(work, turn.seconds + _PATIENCE_SECONDS))
        return publisher.times(), done


async def _in_time(work: Awaitable[dict[str, float]], seconds: float) -> dict[str, float]:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise RuntimeError(f"not all messages came through within {seconds} s") from None


async def _subscribe(amqp_url: str, count: int) -> dict[str, float]:
    """Take so many confirmations; return when each came, by trade id."""
    deliveries: Waiting[tuple[float, Delivery]] = Waiting()
    came: list[tuple[float, bytes]] = []
    async with open_connection(amqp_url) as connection:
        channel = await open_channel(connection)
        await channel.consume(CONFIRMATIONS, count, lambda delivery: deliveries.put((time.time(), delivery)))
        while len(came) < count:
            batch = await deliveries.take()
            channel.acknowledge(batch[-1][1][0])
            came += [(moment, body) for moment, (_, body) in batch]
    return {json.loads(body)["trade_id"]: moment for moment, body in came}


def _ledger_times(desk: Desk, trade_ids: Sequence[str]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return when each trade was sent and when it was filled."""
    with psycopg.connect(desk.database_url) as database:
        rows = database.execute(_TIMES, (list(trade_ids),)).fetchall()
    if len(rows) < len(trade_ids):
        raise RuntimeError(f"only {len(rows)} of {len(trade_ids)} trades were filled")
    return {trade: sent for trade, sent, _ in rows}, {trade: filled for trade, _, filled in rows}


def _between(begins: Mapping[str, float], ends: Mapping[str, float], order: Mapping[str, float]) -> list[float]:
    """Return the milliseconds of each trade but the first ones."""
    counted = list(order)[len(order) // _WARM :]
    return [1000 * (ends[trade] - begins[trade]) for trade in counted]


def _span(times: Mapping[str, float]) -> float:
    return max(times.values()) - min(times.values())


def section(found: Mapping[int, Found]) -> Section:
    """Say what came of it. Where the worker did not keep up, only the rate that it achieved is told of it."""
    figures = [figure for rate, one in found.items() for figure in _figures(rate, one)]
    behind = [
        f"""At {rate}/s the worker did not keep up (figure: confirmed): times there would be a queue's length, and are
        not shown."""
        for rate, one in found.items()
        if not one.kept_up
    ]
    return Section("Latency", figures, _claims(found), (*behind, *_NOTES))


def _figures(rate: int, found: Found) -> Sequence[Figure]:
    shown = (FLOOR, SEND, CONFIRM) if found.kept_up else (FLOOR,)
    return [
        Figure(f"{rate}/s, confirmed", "trades/s", found.achieved),
        *(_figure(rate, what, name, found) for what in shown for name in _SHARES),
    ]


def _figure(rate: int, what: str, name: str, found: Found) -> Figure:
    values = [quantile(run, _SHARES[name]) for run in found.latencies[what]]
    return Figure(f"{rate}/s, {what}, {name}", "ms", values)


def _claims(found: Mapping[int, Found]) -> Sequence[Claim]:
    def in_floors(name: str) -> float:
        return _figure(100, SEND, name, found[100]).median / _figure(100, FLOOR, name, found[100]).median

    return (
        at_most("message to order_send at 100/s, p50, in those of the floor", in_floors("p50"), 2),
        at_most("message to order_send at 100/s, p99, in those of the floor", in_floors("p99"), 3),
    )
