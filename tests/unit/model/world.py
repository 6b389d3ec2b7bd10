"""
The small model's state: one trade, its message, the ledger, one or two workers, their child, a terminal and a broker.

Everything is a tuple, so that states can be compared and kept by the hundred thousand. Time is a count of ticks that
only ages things: a send may start within the tick of its write-ahead, a request that has left the terminal takes effect
within HORIZON ticks, and what took effect is visible within LAG ticks more.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple

from worker.domain.execution import State

HORIZON = 1
LAG = 1
LONG_AGO = 4  # ages beyond all limits are one

NOBODY = -1


class Place(IntEnum):
    """How far a request has come."""

    PLANNED = 0  # written ahead, in its worker's memory
    CHILD = 1  # in the child or its pipe
    TERMINAL = 2  # `order_send` was called; a frozen terminal keeps it here for as long as it likes
    LEFT = 3  # on its way to the broker, or waiting there
    HIDDEN = 4  # it has taken effect, and nothing shows it yet
    VISIBLE = 5
    GONE = 6  # it will never take effect


MAY_TAKE_EFFECT = frozenset({Place.TERMINAL, Place.LEFT, Place.HIDDEN, Place.VISIBLE})
EFFECTIVE = frozenset({Place.HIDDEN, Place.VISIBLE})


class Request(NamedTuple):
    """One attempt's request. `late`: its send deadline has passed."""

    place: Place = Place.PLANNED
    age: int = 0
    late: bool = False

    @property
    def may_begin(self) -> bool:
        """Tell whether it may still be handed to the terminal."""
        return self.place in {Place.PLANNED, Place.CHILD} and not self.late

    @property
    def may_take_effect(self) -> bool:
        """Tell whether the broker has executed it, or may still do so."""
        return self.place in MAY_TAKE_EFFECT or (self.place is Place.CHILD and not self.late)


class Life(StrEnum):
    """What a worker's process is."""

    DOWN = "down"
    STANDBY = "standby"
    LEADING = "leading"  # or believes so
    PAUSED = "paused"  # stopped in the middle of leading; it notices nothing


class Stage(StrEnum):
    """Where the coroutine stands that drives the trade."""

    IDLE = "idle"
    READY = "ready"  # validated; the write-ahead comes next
    WRITTEN = "written"
    ASKED = "asked"  # the child has the command
    ANSWERED = "answered"
    WATCHING = "watching"
    SEEKING = "seeking"


class Answer(StrEnum):
    """What a worker may hear of its send."""

    NONE = "none"  # the child was ended, it took too long
    NOT_SENT = "not sent"
    DONE = "done"
    REQUOTE = "requote"
    TIMEOUT = "timeout"  # answered, but it proves nothing
    LOST = "lost"  # the pipe to the terminal broke


class Clean(StrEnum):
    """When the terminal forgot all it held, as its session knows: not since the last attempt, or soon or long after."""

    NOT = "not"
    EARLY = "early"  # within the time in which the attempt might still have been handed over
    LATE = "late"  # after that, or where the terminal's end is the session's end


class Intake(StrEnum):
    """Where the consumer stands with the delivery it holds."""

    NOTHING = "nothing"
    HELD = "held"
    COMMITTED = "committed"
    ACKED_FIRST = "acked first"  # only where that rule is switched off


class Message(StrEnum):
    """Where RabbitMQ has the trade's message."""

    READY = "ready"
    DELIVERED = "delivered"
    ACKED = "acked"


class Outcome(StrEnum):
    """What the ledger knows of the last attempt's answer."""

    PENDING = "pending"  # nothing: no answer was recorded
    LOST = "lost"  # there was one, and it told nothing
    CODED = "coded"  # the terminal answered with a code that proves nothing


class Halt(StrEnum):
    """How far an operator's halt has come."""

    NONE = "none"
    BEGUN = "begun"  # committed
    COMPLETE = "complete"  # it was told that nothing is sent any more


class Worker(NamedTuple):
    """One worker's memory: a crash empties it."""

    life: Life = Life.STANDBY
    stage: Stage = Stage.IDLE
    fresh: bool = False  # the execution in memory is as the ledger has it
    request: int = NOBODY  # the attempt it is about, as an index
    answer: Answer = Answer.NONE
    intake: Intake = Intake.NOTHING
    published: int = 0  # the confirmation that RabbitMQ has confirmed and the ledger does not know of yet
    owed: int = 0  # a confirmation not queued yet; only where it is not committed with the settlement
    sought: int = 0  # ticks since it began to seek
    let_go: int | None = None  # ticks since the first look at a terminal that held nothing more
    first_look: int | None = None  # ticks since the first of the looks that count


class Child(NamedTuple):
    """The process that holds the terminal's file lock. `busy` is the index of the request it works on."""

    owner: int
    busy: int = NOBODY


class Row(NamedTuple):
    """The execution in the ledger."""

    state: State = State.RECEIVED
    attempts: int = 0
    outcome: Outcome = Outcome.PENDING
    version: int = 0


class Luck(NamedTuple):
    """How much may still go wrong, or be done by an operator."""

    crashes: int = 0
    pauses: int = 0
    restarts: int = 0  # of the terminal, or of the child with the terminal in it
    cuts: int = 0  # of the connection to RabbitMQ
    replays: int = 0
    halts: int = 0
    sends: int = 2  # in all


class World(NamedTuple):
    """One state of everything."""

    luck: Luck
    workers: tuple[Worker, ...]
    message: Message = Message.READY
    row: Row | None = None
    leader: int = NOBODY  # who holds the present epoch
    queued: frozenset[int] = frozenset()  # versions in the outbox
    received: frozenset[int] = frozenset()  # versions the subscriber has
    requests: tuple[Request, ...] = ()
    child: Child | None = None
    clean: Clean = Clean.NOT
    overdue: bool = False  # the last attempt's deadline has passed
    inside: bool = True  # the terminal lives in the child, as the simulated one does, and dies with it
    halt: Halt = Halt.NONE

    def worker(self, index: int, **changes: object) -> World:
        """Return the world with that worker changed."""
        changed = self.workers[index]._replace(**changes)  # type: ignore[arg-type] # a NamedTuple's own fields
        return self._replace(workers=(*self.workers[:index], changed, *self.workers[index + 1 :]))

    def request(self, index: int, place: Place) -> World:
        """Return the world with that request moved on; its deadline counts only until it has left the child."""
        late = self.requests[index].late and place <= Place.CHILD
        moved = Request(place, 0, late)
        return self._replace(requests=(*self.requests[:index], moved, *self.requests[index + 1 :]))


def beginning(workers: int, luck: Luck, *, inside: bool = True) -> World:
    """Return the world in which the message waits and nobody works yet."""
    return World(luck, (Worker(),) * workers, inside=inside)


def leading(workers: int, luck: Luck, *, inside: bool = True) -> World:
    """Return the world in which the trade is in the ledger, its message acknowledged, and the first worker leads."""
    world = beginning(workers, luck, inside=inside).worker(0, life=Life.LEADING)
    return world._replace(leader=0, message=Message.ACKED, row=Row())
