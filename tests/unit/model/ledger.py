"""The model's ledger: a commit is one step; it needs the present epoch, the present revision and a legal transition."""

from __future__ import annotations

from tests.unit.model.rules import Rules
from tests.unit.model.world import Child, Intake, Life, Message, Place, Row, Stage, Worker, World
from worker.domain.execution import SETTLED, TRANSITIONS, State


def commit(world: World, index: int, rules: Rules, row: Row, stage: Stage) -> World:
    """Return the world after a worker's commit of the trade's next step; refused, it forgets what it was doing."""
    if not may_write(world, index, rules):
        return deposed(world, index)
    if rules.checks_the_revision and not world.workers[index].fresh:
        return world.worker(index, stage=Stage.IDLE)
    if world.row is None or not _is_legal(world.row.state, row.state, rules):
        return world.worker(index, stage=Stage.IDLE)
    return written(world, row).worker(index, fresh=True, stage=stage)


def settle(world: World, index: int, rules: Rules, state: State) -> World:
    """Return the world after the commit that ends the trade: the state and its confirmation, together."""
    assert world.row is not None
    version = world.row.version + 1
    after = commit(world, index, rules, world.row._replace(state=state, version=version), Stage.IDLE)
    if after.row is None or after.row.version != version:
        return after
    if not rules.queues_with_the_settlement:
        return after.worker(index, owed=version)
    return after._replace(queued=after.queued | {version})


def written(world: World, row: Row) -> World:
    """Return the world with another revision of the row: what anyone has in memory of it is old."""
    workers = tuple(worker._replace(fresh=False) for worker in world.workers)
    return world._replace(row=row, workers=workers)


def may_write(world: World, index: int, rules: Rules) -> bool:
    """Tell whether the worker holds the present epoch."""
    return world.leader == index or not rules.checks_the_epoch


def deposed(world: World, index: int) -> World:
    """Return the world in which a worker has learnt that another one leads: it drops all, and ends its session."""
    forgotten = forget(world, index)
    return forgotten.worker(index, life=Life.STANDBY)


def forget(world: World, index: int) -> World:
    """Return the world without what a worker had in memory. Its child ends as soon as it has nothing to do."""
    worker = world.workers[index]
    if worker.stage is Stage.WRITTEN:
        world = world.request(worker.request, Place.GONE)
    if world.child == Child(index):
        world = world._replace(child=None)
    if worker.intake in {Intake.HELD, Intake.COMMITTED}:
        world = world._replace(message=Message.READY)
    return world._replace(workers=(*world.workers[:index], Worker(worker.life), *world.workers[index + 1 :]))


def _is_legal(before: State, after: State, rules: Rules) -> bool:
    if not rules.writes_ahead and before is State.RECEIVED:
        return after in TRANSITIONS[State.SUBMITTING] | {State.SUBMITTING}
    return after in TRANSITIONS[before]


def is_settled(row: Row | None) -> bool:
    """Tell whether the trade has its confirmation."""
    return row is not None and row.state in SETTLED
