"""What must hold in every state that can be reached, and what must be reachable from every one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.model.ledger import is_settled
from tests.unit.model.world import EFFECTIVE, Halt, Message, Row, World
from worker.domain.execution import State

NOT_EXECUTED = frozenset({State.REJECTED, State.EXPIRED, State.CANCELLED, State.ERROR})


def broken(world: World) -> str | None:
    """Return which promise this state breaks; None for a good one."""
    return next(_broken(world), None)


def _broken(world: World) -> Iterator[str]:
    if sum(request.place in EFFECTIVE for request in world.requests) > 1:
        yield "two orders of one trade have taken effect"
    if world.halt is Halt.COMPLETE and any(request.may_begin for request in world.requests):
        yield "a halt was told to be complete, and an order may still be sent"
    if world.row is not None:
        yield from _untrue(world, world.row)
        yield from _lost(world, world.row)
    elif world.message is Message.ACKED:
        yield "an acknowledged message is not in the ledger"


def _untrue(world: World, row: Row) -> Iterator[str]:
    if row.state in NOT_EXECUTED and any(request.may_take_effect for request in world.requests):
        yield f"{row.state} was confirmed, and an order of the trade has taken effect or still may"
    if row.state is State.FILLED and not any(request.place in EFFECTIVE for request in world.requests):
        yield "filled was confirmed, and no order has taken effect"


def _lost(world: World, row: Row) -> Iterator[str]:
    known = world.queued | world.received | {worker.owed for worker in world.workers}
    yield from (f"confirmation {version} is lost" for version in range(1, row.version + 1) if version not in known)


def is_done(world: World) -> bool:
    """Tell whether nothing is left to be done: acknowledged, settled, and every version received."""
    row = world.row
    if row is None or not is_settled(row) or world.message is not Message.ACKED:
        return False
    return world.received >= set(range(1, row.version + 1)) and not world.queued
