"""What a leading worker may do next about the trade: one commit, one send, one look at a time."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.model import broker, proof
from tests.unit.model.broker import Move
from tests.unit.model.ledger import commit, settle
from tests.unit.model.rules import Rules
from tests.unit.model.world import NOBODY, Answer, Child, Clean, Halt, Outcome, Place, Request, Row, Stage, World
from worker.domain.execution import AT_BROKER, State
from worker.domain.market import NotSentReason, SendReport, SendStatus
from worker.domain.outcomes import Proof, judge

_REPORTS = {
    Answer.NONE: SendReport(SendStatus.NO_ANSWER),
    Answer.NOT_SENT: SendReport(SendStatus.NOT_SENT, NotSentReason.DEADLINE),
    Answer.DONE: SendReport(SendStatus.ANSWERED, retcode=10009),
    Answer.REQUOTE: SendReport(SendStatus.ANSWERED, retcode=10004),
    Answer.TIMEOUT: SendReport(SendStatus.ANSWERED, retcode=10012),
    Answer.LOST: SendReport(SendStatus.NO_ANSWER, last_error=-10002),
}
PROOFS = {answer: judge(report).proof for answer, report in _REPORTS.items()}
_OUTCOMES = {Answer.NONE: Outcome.LOST, Answer.TIMEOUT: Outcome.CODED, Answer.LOST: Outcome.LOST}


def moves(world: World, index: int, rules: Rules) -> Iterator[Move]:
    """Return every step that this worker may take about the trade."""
    me = f"worker {index + 1}"
    if world.child is None:
        clean = Clean.LATE if world.inside else world.clean
        yield f"{me} opens its terminal session", world._replace(child=Child(index), clean=clean)
    if world.row is not None:
        yield from _sending(me, world, index, rules, world.row)
        if world.child == Child(index):
            yield from _looking(me, world, index, rules, world.row)


def _sending(me: str, world: World, index: int, rules: Rules, row: Row) -> Iterator[Move]:
    worker = world.workers[index]
    match worker.stage:
        case Stage.READY:
            yield from _before_the_send(me, world, index, rules, row)
        case Stage.WRITTEN:
            yield _send(me, world, index)
        case Stage.ASKED if world.child is not None and world.child.busy == worker.request:
            yield f"{me} waits too long and ends its child", broker.killed(world, world.child)
        case Stage.ANSWERED:
            yield f"{me} commits what the answer proves ({worker.answer})", _judged(world, index, rules, row)


def _looking(me: str, world: World, index: int, rules: Rules, row: Row) -> Iterator[Move]:
    worker = world.workers[index]
    match worker.stage:
        case Stage.IDLE:
            yield from _adopt(me, world, index, rules, row)
        case Stage.WATCHING if proof.is_visible(world):
            yield f"{me} sees the order and settles it", settle(world, index, rules, State.FILLED)
        case Stage.SEEKING if rules.checks_the_revision and not worker.fresh:
            yield f"{me} sees that the trade has moved on", world.worker(index, stage=Stage.IDLE)
        case Stage.SEEKING:
            yield from _seek(me, world, index, rules, row)


def _adopt(me: str, world: World, index: int, rules: Rules, row: Row) -> Iterator[Move]:
    read = world.worker(index, fresh=True)
    match row.state:
        case State.RECEIVED:
            yield f"{me} adopts the trade and validates it", read.worker(index, stage=Stage.READY)
        case State.SUBMITTING:
            unknown = row._replace(state=State.UNKNOWN)
            yield f"{me} commits that a send was interrupted", _seeking(read, index, rules, unknown)
        case State.UNKNOWN | State.UNRESOLVED:
            yield f"{me} begins to seek evidence", _begun(read, index)
        case state if state in AT_BROKER:
            yield f"{me} watches the order", read.worker(index, stage=Stage.WATCHING)


def _before_the_send(me: str, world: World, index: int, rules: Rules, row: Row) -> Iterator[Move]:
    yield f"{me} commits that the approval is too old", settle(world, index, rules, State.EXPIRED)
    if world.halt is not Halt.NONE and rules.checks_the_halt:
        yield f"{me} commits that trading is halted", settle(world, index, rules, State.REJECTED)
        yield f"{me} keeps the trade waiting", world.worker(index, stage=Stage.IDLE)
        return
    if len(world.requests) >= world.luck.sends:
        return
    planned = world._replace(requests=(*world.requests, Request()), clean=Clean.NOT, overdue=False)
    planned = planned.worker(index, request=len(world.requests))
    if not rules.writes_ahead:
        yield f"{me} writes nothing ahead", planned.worker(index, stage=Stage.WRITTEN)
        return
    ahead = row._replace(state=State.SUBMITTING, attempts=row.attempts + 1, outcome=Outcome.PENDING)
    after = commit(planned, index, rules, ahead, Stage.WRITTEN)
    if after.workers[index].stage is not Stage.WRITTEN:
        after = after._replace(requests=world.requests)
    yield f"{me} commits its send number {len(world.requests) + 1} ahead", after


def _send(me: str, world: World, index: int) -> Move:
    request = world.workers[index].request
    if world.child != Child(index):
        lost = world.request(request, Place.GONE)
        return f"{me} has no session to send by", lost.worker(index, stage=Stage.ANSWERED, answer=Answer.NOT_SENT)
    asked = world.request(request, Place.CHILD).worker(index, stage=Stage.ASKED)
    return f"{me} gives request {request + 1} to its child", asked._replace(child=Child(index, request))


def _judged(world: World, index: int, rules: Rules, row: Row) -> World:
    answer = world.workers[index].answer
    world = world.worker(index, request=NOBODY, answer=Answer.NONE)
    match PROOFS[answer]:
        case Proof.ACCEPTED:
            return commit(world, index, rules, row._replace(state=State.ACCEPTED), Stage.WATCHING)
        case Proof.AMBIGUOUS if rules.proves_absence:
            unknown = row._replace(state=State.UNKNOWN, outcome=_OUTCOMES[answer])
            return _seeking(world, index, rules, unknown)
        case _ if len(world.requests) >= world.luck.sends:
            return settle(world, index, rules, State.ERROR)
        case _:
            return commit(world, index, rules, row._replace(state=State.RECEIVED), Stage.READY)


def _seeking(world: World, index: int, rules: Rules, unknown: Row) -> World:
    after = commit(world, index, rules, unknown, Stage.SEEKING)
    begun = after.workers[index].stage is Stage.SEEKING
    return _begun(after, index) if begun else after


def _begun(world: World, index: int) -> World:
    return world.worker(index, stage=Stage.SEEKING, sought=0, let_go=None, first_look=None)


def _seek(me: str, world: World, index: int, rules: Rules, row: Row) -> Iterator[Move]:
    if proof.is_visible(world):
        yield f"{me} finds the order and settles it", settle(world, index, rules, State.FILLED)
        return
    absence = proof.look(world, world.workers[index], rules)
    if proof.is_proved(absence, rules) or not rules.proves_absence:
        yield f"{me} commits that the send is proved absent", _absent(world, index, rules, row)
        return
    first, let_go = proof.ago(absence.first_empty), proof.ago(absence.let_go_by)
    yield f"{me} looks and finds nothing", world.worker(index, let_go=let_go, first_look=first)
    if absence.hindrance is not None and row.state is State.UNKNOWN:
        yield f"{me} gives the trade to a person", settle(world, index, rules, State.UNRESOLVED)


def _absent(world: World, index: int, rules: Rules, row: Row) -> World:
    if row.state is State.UNKNOWN and len(world.requests) < world.luck.sends:
        return commit(world, index, rules, row._replace(state=State.RECEIVED), Stage.READY)
    return settle(world, index, rules, State.ERROR)
