"""
How many trades a second one worker does, next to the least it could do and to what one would write instead.

In each round every contestant finds its queue filled, is started, and is measured from the moment when it is warm
until its last confirmation. They take turns, so that what changes on the machine changes for all of them.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat

import psycopg

from ops.bench.approvals import approvals
from ops.bench.bench import Bench
from ops.bench.contestants import dramatiq_actor, faststream_handler, steps
from ops.bench.desk import Desk, open_desk
from ops.bench.figures import Claim, Figure, Section, at_least
from ops.bench.machine import usage
from ops.bench.publishing import publish

WORKER, BARE, FASTSTREAM, DRAMATIQ = "the worker", "the bare loop", "FastStream", "Dramatiq"
_WARM = 4  # a fourth of the messages is not measured: connections, prepared statements, caches
_NOTES = (
    """Each begins with its queue filled; a quarter of the messages warms it up and is not measured. All publish to the
    same exchange, from which one quorum queue takes the confirmations; a checkpoint of PostgreSQL precedes each turn.
    Turns differ in the number of messages, so that each takes seconds.""",
    """The bare loop: pika on asyncio and psycopg, up to 1000 messages in flight; commits all bodies that wait in one
    insert and all outcomes in another, publishes with confirms, acknowledges. No check, no terminal, no audit.""",
    f"""FastStream: an asynchronous handler, {faststream_handler.PREFETCH} messages at once (the prefetch count),
    {faststream_handler.CONNECTIONS} pooled connections; a commit for the body, one for the outcome, a publish with
    confirm; acknowledged after the handler.""",
    f"""Dramatiq: an actor in one process with {dramatiq_actor.THREADS} threads and as many pooled connections; the same
    steps, confirm_delivery on, its own middleware and prefetch; quorum queues by a subclass of its broker.""",
)


@dataclass(frozen=True)
class Contestant:
    """How its queue is filled, how it is started, and how many messages keep it busy for seconds."""

    name: str
    messages: int
    fill: Callable[[int], None]
    start: Callable[[], None]

    def __str__(self) -> str:
        return self.name


@dataclass
class Measured:
    """What the rounds showed of one contestant: messages a second, CPU milliseconds a message by kind of process."""

    rates: list[float] = field(default_factory=list)
    cpu: list[Mapping[str, float]] = field(default_factory=list)

    def milliseconds(self, *kinds: str) -> float:
        """Return the median CPU time that processes of these kinds took for a message."""
        return statistics.median(sum(turn[kind] for kind in kinds) for turn in self.cpu)


def measure(bench: Bench) -> Section:
    """Let them take turns."""
    with open_desk(bench.services, bench.folder) as desk:
        steps.prepare(desk.amqp_url, desk.database_url)
        dramatiq_actor.declare(desk.amqp_url)
        _run_once(desk)
        contestants = _contestants(desk, bench)
        found = {one.name: Measured() for one in contestants}
        turns = [one for _round in range(bench.options.runs) for one in contestants]
        for one in bench.steps("throughput", turns):
            _take_turn(one, desk, bench, found[one.name])
        repeated = _sent_again(desk)
    return section(found, repeated)


def _run_once(desk: Desk) -> None:
    """Have the worker make what it makes only once: the broker's book, compiled modules."""
    desk.start_worker()
    desk.publish(50)
    desk.until_confirmed(50)
    desk.stop_worker()


def _contestants(desk: Desk, bench: Bench) -> Sequence[Contestant]:
    bodies = (one.body for one in approvals())

    def fill(queue: str, body: Callable[[bytes], bytes], count: int) -> None:
        messages = zip(repeat(queue), map(body, islice(bodies, count)), strict=False)
        asyncio.run(publish(desk.amqp_url, "", messages))

    def program(name: str) -> Callable[[], None]:
        return lambda: desk.start_in_its_place(f"ops.bench.contestants.{name}")

    def call(body: bytes) -> bytes:
        return dramatiq_actor.message_of(body.decode())

    def same(body: bytes) -> bytes:
        return body

    return (
        Contestant(WORKER, bench.sized(6000, 1200), desk.publish, desk.start_worker),
        Contestant(BARE, bench.sized(30_000, 8000), lambda n: fill(steps.QUEUE, same, n), program("bare_loop")),
        Contestant(
            FASTSTREAM, bench.sized(4000, 1200), lambda n: fill(steps.QUEUE, same, n), program("faststream_handler")
        ),
        Contestant(
            DRAMATIQ,
            bench.sized(4000, 1200),
            lambda n: fill(steps.QUEUE_OF_DRAMATIQ, call, n),
            program("dramatiq_actor"),
        ),
    )


def _take_turn(one: Contestant, desk: Desk, bench: Bench, measured: Measured) -> None:
    desk.forget_confirmations()
    before = desk.confirmed()
    one.fill(one.messages)
    _checkpoint(desk)
    one.start()
    desk.until_confirmed(before + one.messages // _WARM)
    warm, began, used = desk.confirmed(), time.perf_counter(), usage(bench.services)
    desk.until_confirmed(before + one.messages)
    seconds, messages = time.perf_counter() - began, before + one.messages - warm
    cpu = usage(bench.services).cpu_since(used)
    desk.stop_worker()
    measured.rates.append(messages / seconds)
    measured.cpu.append({kind: 1000 * value / messages for kind, value in cpu.items()})


def _checkpoint(desk: Desk) -> None:
    """Have PostgreSQL write down what earlier turns left, so that nobody pays for another's."""
    with psycopg.connect(desk.database_url, autocommit=True) as database:
        database.execute("checkpoint")


def _sent_again(desk: Desk) -> int:
    """Return how many of the worker's trades needed more than one attempt, as nothing here gives a reason to.

    Raises:
        RuntimeError: trades were not filled: how fast they were refused is no throughput.

    """
    with psycopg.connect(desk.database_url) as database:
        ends = database.execute(
            "select state, count(*), count(*) filter (where attempts > 1) from ledger.executions group by 1"
        )
        told = {state: (count, again) for state, count, again in ends}
    if told.keys() != {"filled"}:
        raise RuntimeError(f"not all trades were filled: {', '.join(f'{n} {state}' for state, (n, _) in told.items())}")
    return int(told["filled"][1])


def section(found: Mapping[str, Measured], repeated: int) -> Section:
    """Say what came of it."""
    figures = [Figure(name, "messages/s", measured.rates) for name, measured in found.items()]
    tried = f"Trades for which the worker needed more than one attempt: {repeated}."
    rows = [_row(*one) for one in found.items()]
    return Section("Throughput of one worker", figures, _claims(figures), (tried, *_NOTES), rows)


def _claims(figures: Sequence[Figure]) -> Sequence[Claim]:
    rate = {figure.name: figure.median for figure in figures}
    better = max(FASTSTREAM, DRAMATIQ, key=lambda name: rate[name])
    return (
        at_least("the worker's throughput, in those of the bare loop", rate[WORKER] / rate[BARE], 0.5),
        at_least(f"the worker's throughput, in those of {better}", rate[WORKER] / rate[better], 3),
    )


def _row(name: str, measured: Measured) -> Mapping[str, str | float]:
    return {
        "CPU ms per message": name,
        "its process": measured.milliseconds("worker", "contestant"),
        "terminal": measured.milliseconds("terminal"),
        "PostgreSQL": measured.milliseconds("PostgreSQL"),
        "RabbitMQ": measured.milliseconds("RabbitMQ"),
    }
