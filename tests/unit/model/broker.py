"""What the child, the terminal and the broker may do with a request, one move at a time."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.model.rules import Rules
from tests.unit.model.world import HORIZON, LAG, Answer, Child, Clean, Life, Place, Stage, World

Move = tuple[str, World]


def moves(world: World, rules: Rules) -> Iterator[Move]:
    """Return every move of these three that is possible now."""
    for index, request in enumerate(world.requests):
        match request.place:
            case Place.TERMINAL:
                yield f"the terminal lets request {index + 1} go", world.request(index, Place.LEFT)
            case Place.LEFT:
                yield f"the broker executes request {index + 1}", world.request(index, Place.HIDDEN)
                if not _has_asker(world, index):
                    yield f"the broker refuses request {index + 1}", world.request(index, Place.GONE)
            case Place.HIDDEN:
                yield f"the terminal shows the order of request {index + 1}", world.request(index, Place.VISIBLE)
    if world.child is not None:
        yield from _child(world, world.child, rules)


def may_wait(world: World) -> bool:
    """Tell whether a tick may pass: what has left takes effect in time, what took effect is shown in time."""
    return not any(
        (request.place is Place.LEFT and request.age >= HORIZON)
        or (request.place is Place.HIDDEN and request.age >= LAG)
        for request in world.requests
    )


def _has_asker(world: World, index: int) -> bool:
    return world.child is not None and world.child.busy == index


def _child(world: World, child: Child, rules: Rules) -> Iterator[Move]:
    owner = world.workers[child.owner]
    if child.busy >= 0:
        yield from _submitting(world, child, rules)
        if not _listens(world, child):
            yield "the orphaned child's own time limit ends it", _ended(world, child)
    elif owner.life is Life.PAUSED:
        yield "the child hears nothing for too long and ends", world._replace(child=None)


def _submitting(world: World, child: Child, rules: Rules) -> Iterator[Move]:
    number, request = child.busy + 1, world.requests[child.busy]
    match request.place:
        case Place.CHILD if request.late and rules.keeps_the_deadline:
            gone = world.request(child.busy, Place.GONE)
            yield f"the child finds the deadline of request {number} passed", answered(gone, child, Answer.NOT_SENT)
        case Place.CHILD:
            yield f"the child hands request {number} to the terminal", world.request(child.busy, Place.TERMINAL)
        case Place.TERMINAL:
            yield f"the pipe breaks over request {number}", answered(_dropped(world), child, Answer.LOST)
        case Place.LEFT:
            gone = world.request(child.busy, Place.GONE)
            yield f"the broker refuses request {number}: requote", answered(gone, child, Answer.REQUOTE)
            yield f"the terminal answers request {number}: time-out", answered(world, child, Answer.TIMEOUT)
            yield f"the pipe breaks over request {number}", answered(world, child, Answer.LOST)
        case Place.HIDDEN | Place.VISIBLE:
            yield f"the terminal answers request {number}: done", answered(world, child, Answer.DONE)
            yield f"the terminal answers request {number}: time-out", answered(world, child, Answer.TIMEOUT)
            yield f"the pipe breaks over request {number}", answered(world, child, Answer.LOST)


def answered(world: World, child: Child, answer: Answer) -> World:
    """Return the world in which the child has an answer: for its worker, or for nobody, then it ends."""
    if not _listens(world, child):
        return world._replace(child=None)
    heard = world.worker(child.owner, stage=Stage.ANSWERED, answer=answer)
    # A terminal in the child forgets all with the broken connection. Another one keeps what it has, unseen.
    clean = Clean.LATE if world.inside and answer is Answer.LOST else Clean.NOT  # nor was it restarted since the answer
    return heard._replace(child=Child(child.owner), clean=clean)


def killed(world: World, child: Child) -> World:
    """Return the world in which a busy child was ended: its worker, if it still listens, knows nothing."""
    ended = _ended(world, child)
    if not _listens(world, child):
        return ended
    return ended._replace(clean=Clean.NOT).worker(child.owner, stage=Stage.ANSWERED, answer=Answer.NONE)


def forgotten(world: World) -> World:
    """Return the world in which the terminal holds no request any more."""
    for index, request in enumerate(world.requests):
        if request.place is Place.TERMINAL:
            world = world.request(index, Place.GONE)
    return world


def restarted(world: World) -> World:
    """Return the world in which the terminal is another process, and its session can tell since when."""
    clean = Clean.LATE if world.overdue or world.clean is Clean.LATE else Clean.EARLY
    return forgotten(world)._replace(clean=clean)


def _ended(world: World, child: Child) -> World:
    if world.requests[child.busy].place is Place.CHILD:
        world = world.request(child.busy, Place.GONE)
    return _dropped(world)._replace(child=None)


def _dropped(world: World) -> World:
    """Return the world after a connection to the terminal has ended: one in the child has forgotten its requests."""
    return forgotten(world) if world.inside else world


def _listens(world: World, child: Child) -> bool:
    owner = world.workers[child.owner]
    return owner.life in {Life.LEADING, Life.PAUSED} and owner.stage is Stage.ASKED and owner.request == child.busy
