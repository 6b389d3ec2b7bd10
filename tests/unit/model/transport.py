"""How the message comes in and the confirmations go out."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.model.broker import Move
from tests.unit.model.ledger import deposed, may_write, written
from tests.unit.model.rules import Rules
from tests.unit.model.world import Child, Intake, Message, Row, World


def moves(world: World, index: int, rules: Rules) -> Iterator[Move]:
    """Return every step that a leading worker's consumer and relay may take."""
    yield from _consume(f"worker {index + 1}", world, index, rules)
    yield from _relay(f"worker {index + 1}", world, index, rules)


def _consume(me: str, world: World, index: int, rules: Rules) -> Iterator[Move]:
    match world.workers[index].intake:
        case Intake.NOTHING if world.message is Message.READY and world.child == Child(index):
            yield f"{me} is delivered the message", _with(world, index, Message.DELIVERED, Intake.HELD)
        case Intake.HELD if rules.commits_before_ack:
            yield f"{me} commits the trade", _admit(world, index, rules, Intake.COMMITTED)
        case Intake.HELD:
            yield f"{me} acknowledges the message", _with(world, index, Message.ACKED, Intake.ACKED_FIRST)
        case Intake.ACKED_FIRST:
            yield f"{me} commits the trade", _admit(world, index, rules, Intake.NOTHING)
        case Intake.COMMITTED:
            yield f"{me} acknowledges the message", _with(world, index, Message.ACKED, Intake.NOTHING)


def _with(world: World, index: int, message: Message, intake: Intake) -> World:
    return world._replace(message=message).worker(index, intake=intake)


def _admit(world: World, index: int, rules: Rules, intake: Intake) -> World:
    if not may_write(world, index, rules):
        return deposed(world, index)
    after = written(world, Row()) if world.row is None else world
    return after.worker(index, intake=intake)


def _relay(me: str, world: World, index: int, rules: Rules) -> Iterator[Move]:
    worker = world.workers[index]
    if worker.owed:
        queued = world._replace(queued=world.queued | {worker.owed}).worker(index, owed=0)
        yield f"{me} commits the confirmation to the outbox", queued
    if worker.published:
        yield f"{me} {_second(rules)} confirmation {worker.published}", _second_half(world, index, rules)
    elif world.queued:
        version = min(world.queued)
        yield f"{me} {_first(rules)} confirmation {version}", _first_half(world, index, rules, version)


def _first(rules: Rules) -> str:
    return "publishes" if rules.publishes_before_marking else "marks as published"


def _second(rules: Rules) -> str:
    return "marks as published" if rules.publishes_before_marking else "publishes"


def _first_half(world: World, index: int, rules: Rules, version: int) -> World:
    half = _publish if rules.publishes_before_marking else _mark
    return half(world.worker(index, published=version), index, rules, version)


def _second_half(world: World, index: int, rules: Rules) -> World:
    half = _mark if rules.publishes_before_marking else _publish
    return half(world.worker(index, published=0), index, rules, world.workers[index].published)


def _publish(world: World, index: int, rules: Rules, version: int) -> World:
    del index, rules
    return world._replace(received=world.received | {version})


def _mark(world: World, index: int, rules: Rules, version: int) -> World:
    if not may_write(world, index, rules):
        return deposed(world, index)
    return world._replace(queued=world.queued - {version})
