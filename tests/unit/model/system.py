"""All that may happen next, in any order: what everyone does by himself, and what goes wrong while luck allows it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.model import broker, trade, transport
from tests.unit.model.broker import Move
from tests.unit.model.ledger import forget, written
from tests.unit.model.rules import Rules
from tests.unit.model.world import LONG_AGO, Halt, Intake, Life, Message, Place, Request, Stage, Worker, World
from worker.domain.execution import State


def moves(world: World, rules: Rules) -> Iterator[Move]:
    """Return what may happen without anything going wrong."""
    yield from broker.moves(world, rules)
    for index, worker in enumerate(world.workers):
        match worker.life:
            case Life.LEADING:
                yield from trade.moves(world, index, rules)
                yield from transport.moves(world, index, rules)
            case Life.DOWN:
                yield f"worker {index + 1} starts again", world.worker(index, life=Life.STANDBY)
            case Life.PAUSED:
                yield f"worker {index + 1} wakes up", world.worker(index, life=Life.LEADING)
            case Life.STANDBY if _lease_is_free(world):
                yield f"worker {index + 1} takes the lease", _taken(world, index)
    if world.halt is not Halt.NONE:
        yield from _halted(world, rules)
    if broker.may_wait(world):
        yield "time passes", tick(world)


def faults(world: World, rules: Rules) -> Iterator[Move]:
    """Return what may go wrong, and what an operator may do."""
    for index, worker in enumerate(world.workers):
        name, luck = f"worker {index + 1}", world.luck
        if worker.life is not Life.DOWN and luck.crashes:
            yield f"{name} is killed", _spent(_killed(world, index), crashes=luck.crashes - 1)
        if worker.life is Life.LEADING and luck.pauses:
            yield f"{name} is paused", _spent(world.worker(index, life=Life.PAUSED), pauses=luck.pauses - 1)
        if worker.intake in {Intake.HELD, Intake.COMMITTED} and luck.cuts:
            cut = world.worker(index, intake=Intake.NOTHING)._replace(message=Message.READY)
            yield f"{name} loses its connection to RabbitMQ", _spent(cut, cuts=luck.cuts - 1)
    if world.luck.restarts:
        yield from _terminal(world)
    yield from _operator(world, rules)


def tick(world: World) -> World:
    """Return the world one tick later."""
    requests = tuple(_older(request) for request in world.requests)
    workers = tuple(_longer(worker) for worker in world.workers)
    return world._replace(requests=requests, workers=workers, overdue=True)


def _older(request: Request) -> Request:
    match request.place:
        case Place.PLANNED | Place.CHILD:
            return request._replace(late=True)
        case Place.LEFT | Place.HIDDEN:
            return request._replace(age=request.age + 1)
    return request


def _longer(worker: Worker) -> Worker:
    if worker.stage is not Stage.SEEKING:
        return worker
    first, let_go = _later(worker.first_look), _later(worker.let_go)
    return worker._replace(sought=min(worker.sought + 1, LONG_AGO), let_go=let_go, first_look=first)


def _later(ticks: int | None) -> int | None:
    return None if ticks is None else min(ticks + 1, LONG_AGO)


def _lease_is_free(world: World) -> bool:
    """Tell whether the holder has been silent for the lease's time, which is longer than a send's deadline."""
    silent = world.leader < 0 or world.workers[world.leader].life is not Life.LEADING
    return silent and broker.may_wait(world)


def _taken(world: World, index: int) -> World:
    return tick(world)._replace(leader=index).worker(index, life=Life.LEADING)


def _killed(world: World, index: int) -> World:
    return forget(world, index).worker(index, life=Life.DOWN)


def _terminal(world: World) -> Iterator[Move]:
    left = world.luck.restarts - 1
    if not world.inside:
        yield "the terminal is restarted", _spent(broker.restarted(world), restarts=left)
    elif world.child is not None:
        ended = broker.killed(world, world.child) if world.child.busy >= 0 else world._replace(child=None)
        yield "the session's process is killed", _spent(ended, restarts=left)


def _operator(world: World, rules: Rules) -> Iterator[Move]:
    row = world.row
    if row is None:
        return
    if world.halt is Halt.NONE and world.luck.halts:
        yield "an operator halts", _spent(world._replace(halt=Halt.BEGUN), halts=world.luck.halts - 1)
    if row.state is State.UNRESOLVED and (_nothing_comes(world) or not rules.operator_is_right):
        ended = written(world, row._replace(state=State.ERROR, version=row.version + 1))
        yield "an operator ends it as not executed", ended._replace(queued=world.queued | {row.version + 1})
    if row.state is State.ERROR and world.luck.replays and len(world.requests) < world.luck.sends:
        reopened = written(world, row._replace(state=State.RECEIVED))
        yield "an operator replays it", _spent(reopened, replays=world.luck.replays - 1)


def _halted(world: World, rules: Rules) -> Iterator[Move]:
    yield "an operator resumes", world._replace(halt=Halt.NONE)
    is_being_sent = world.row is not None and world.row.state is State.SUBMITTING and not world.overdue
    if world.halt is Halt.BEGUN and not (is_being_sent and rules.halts_wait_for_sends):
        yield "the halt is complete", world._replace(halt=Halt.COMPLETE)


def _nothing_comes(world: World) -> bool:
    return not any(request.may_take_effect for request in world.requests)


def _spent(world: World, **left: int) -> World:
    return world._replace(luck=world.luck._replace(**left))
