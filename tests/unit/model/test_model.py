"""
The promise, checked in every state that a small model of the system can reach.

One trade, its message with at-least-once delivery, a ledger with atomic commits, one or two workers, their child, a
terminal that may keep a request for as long as it lives, and a broker that shows things late. Every step is tried
between any two others, and a worker is killed or paused between any two of its own, also while it recovers. What the
program has as pure rules (the table of transitions, what an answer proves, what proves absence) is called, not copied.

What the model assumes, and the promise with it: an order takes effect within the horizon after its request has left the
terminal, and shows within the observed lag after that; between the child's look at the deadline and `order_send` no
more than the horizon passes; both workers' children share one terminal's file lock; an operator attests what is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

import pytest

from tests.unit.model import system
from tests.unit.model.checker import Exploration, explore
from tests.unit.model.properties import broken, is_done
from tests.unit.model.rules import ALL, Rules
from tests.unit.model.world import Halt, Life, Luck, Place, World, beginning, leading
from worker.domain.execution import State


class Scope(NamedTuple):
    """What is explored: from where, how many workers, how much may go wrong, and what terminal they have."""

    start: Callable[..., World]
    workers: int
    luck: Luck
    inside: bool  # the terminal lives in the child; otherwise it is a program of its own


ALONE = Scope(beginning, 1, Luck(crashes=2, cuts=1), inside=True)
ALONE_AND_RESTARTED = Scope(leading, 1, Luck(crashes=2, restarts=1), inside=True)
ALONE_AND_EVERYTHING = Scope(beginning, 1, Luck(crashes=2, restarts=1, cuts=1), inside=True)
ALONE_WITH_A_PROGRAM = Scope(beginning, 1, Luck(crashes=1), inside=False)
ALONE_WITH_A_PROGRAM_RESTARTED = Scope(beginning, 1, Luck(crashes=1, restarts=1), inside=False)
REPLAYED = Scope(leading, 1, Luck(restarts=1, replays=1), inside=False)
REPLAYED_AND_SENT = Scope(leading, 1, Luck(restarts=1, replays=1, sends=3), inside=False)
REPLAYED_AND_KILLED = Scope(leading, 1, Luck(crashes=1, restarts=1, replays=1, sends=3), inside=False)
TWO = Scope(leading, 2, Luck(pauses=1), inside=True)
TWO_AND_THE_MESSAGE = Scope(beginning, 2, Luck(pauses=1), inside=True)
TWO_AND_A_CRASH = Scope(leading, 2, Luck(crashes=1, pauses=1), inside=True)
TWO_WITH_A_PROGRAM = Scope(leading, 2, Luck(pauses=1), inside=False)
HALTED = Scope(leading, 1, Luck(crashes=1, halts=2), inside=True)
TWO_AND_A_HALT = Scope(leading, 2, Luck(pauses=1, halts=1), inside=True)
LUCKY = Scope(leading, 1, Luck(), inside=True)
LUCKY_WITH_A_PROGRAM = Scope(leading, 1, Luck(), inside=False)
RESTARTED = Scope(leading, 1, Luck(restarts=1), inside=False)
RESTARTED_AND_KILLED = Scope(leading, 1, Luck(crashes=1, restarts=1), inside=False)

TWO_ORDERS = "two orders of one trade have taken effect"
SENT_UNDER_A_HALT = "a halt was told to be complete, and an order may still be sent"
FALSEHOOD = "was confirmed, and an order of the trade has taken effect or still may"


BREAKING = [
    (Rules(commits_before_ack=False), ALONE, "an acknowledged message is not in the ledger"),
    (Rules(writes_ahead=False), ALONE, FALSEHOOD),
    (Rules(proves_absence=False), LUCKY, FALSEHOOD),
    (Rules(looks_twice=False), LUCKY, FALSEHOOD),
    (Rules(waits_for_the_horizon=False), LUCKY, FALSEHOOD),
    (Rules(asks_for_the_sender=False), LUCKY_WITH_A_PROGRAM, FALSEHOOD),
    (Rules(waits_from_the_restart=False), RESTARTED, FALSEHOOD),
    (Rules(doubts_early_restarts=False), RESTARTED_AND_KILLED, FALSEHOOD),
    (Rules(checks_the_epoch=False, checks_the_revision=False), TWO, FALSEHOOD),
    (Rules(keeps_the_deadline=False), TWO, TWO_ORDERS),
    (Rules(queues_with_the_settlement=False), ALONE, "confirmation 1 is lost"),
    (Rules(publishes_before_marking=False), ALONE, "confirmation 1 is lost"),
    (Rules(operator_is_right=False), REPLAYED, FALSEHOOD),
    (Rules(checks_the_halt=False), HALTED, SENT_UNDER_A_HALT),
    (Rules(halts_wait_for_sends=False), HALTED, SENT_UNDER_A_HALT),
]


@pytest.fixture(autouse=True, scope="module")
def nothing_is_kept() -> Iterator[None]:
    """Forget the explored states, which are many."""
    yield
    explored.cache_clear()


@cache
def explored(scope: Scope, rules: Rules = ALL) -> Exploration[World]:
    start = scope.start(scope.workers, scope.luck, inside=scope.inside)
    return explore(start, partial(system.moves, rules=rules), partial(system.faults, rules=rules), broken)


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param(ALONE, id="one worker, killed twice, cut off once"),
        pytest.param(ALONE_AND_RESTARTED, id="one worker, killed twice, its child restarted"),
        pytest.param(ALONE_AND_EVERYTHING, id="one worker, killed twice, cut off, restarted", marks=pytest.mark.chaos),
        pytest.param(ALONE_WITH_A_PROGRAM, id="one worker, killed once, the terminal a program of its own"),
        pytest.param(RESTARTED_AND_KILLED, id="one worker, killed once, the program restarted"),
        pytest.param(
            ALONE_WITH_A_PROGRAM_RESTARTED,
            id="one worker, killed while taking in or later, the program restarted",
            marks=pytest.mark.chaos,
        ),
        pytest.param(REPLAYED, id="replayed by an operator"),
        pytest.param(REPLAYED_AND_SENT, id="replayed by an operator, sent three times", marks=pytest.mark.chaos),
        pytest.param(REPLAYED_AND_KILLED, id="replayed by an operator, killed once", marks=pytest.mark.chaos),
        pytest.param(HALTED, id="halted twice, killed once"),
        pytest.param(TWO, id="two workers, one paused"),
        pytest.param(TWO_AND_A_HALT, id="two workers, one paused, halted", marks=pytest.mark.chaos),
        pytest.param(TWO_AND_THE_MESSAGE, id="two workers, one paused while taking in", marks=pytest.mark.chaos),
        pytest.param(TWO_AND_A_CRASH, id="two workers, one paused, one killed", marks=pytest.mark.chaos),
        pytest.param(TWO_WITH_A_PROGRAM, id="two workers, the terminal a program of its own", marks=pytest.mark.chaos),
    ],
)
def test_every_promise_holds_in_every_state(scope: Scope) -> None:
    found = explored(scope)

    print(f"{len(found.came_from)} states")  # noqa: T201 - shown with -rP
    assert found.counterexample is None, f"\n{found.counterexample}"
    stuck = found.stuck(is_done)
    assert not stuck, "\n".join(["the trade can come to no end any more:", *found.way_to(stuck[0])])


@pytest.mark.parametrize(
    ("scope", "happens"),
    [
        pytest.param(
            ALONE, lambda w: w.row and w.row.state is State.FILLED and w.row.attempts > 1, id="retried, filled"
        ),
        pytest.param(ALONE, lambda w: w.row and w.row.state is State.ERROR, id="every send proved absent"),
        pytest.param(
            ALONE_WITH_A_PROGRAM,
            lambda w: w.row and w.row.state is State.UNRESOLVED and w.requests[0].place is Place.TERMINAL,
            id="unresolved while a frozen terminal keeps the request",
        ),
        pytest.param(ALONE_WITH_A_PROGRAM, lambda w: w.row and w.row.version > 1, id="unresolved, then found"),
        pytest.param(
            RESTARTED,
            lambda w: (
                w.row and w.row.state is State.FILLED and w.row.attempts > 1 and w.requests[0].place is Place.GONE
            ),
            id="proved absent by a restarted terminal, sent again",
        ),
        pytest.param(
            REPLAYED, lambda w: w.row and w.row.attempts > 1 and not w.luck.replays, id="replayed, sent again"
        ),
        pytest.param(
            HALTED,
            lambda w: w.row and w.row.state is State.FILLED and w.halt is Halt.COMPLETE,
            id="halted, an order in flight watched to its end",
        ),
        pytest.param(
            HALTED, lambda w: w.row and w.row.state is State.REJECTED and not w.requests, id="rejected for a halt"
        ),
        pytest.param(TWO, lambda w: w.leader == 1 and w.workers[0].life is Life.LEADING, id="two believe they lead"),
    ],
)
def test_the_model_reaches_what_it_is_about(scope: Scope, happens: Callable[[World], bool]) -> None:
    assert any(happens(world) for world in explored(scope).came_from)


@pytest.mark.parametrize(("without", "scope", "promise"), BREAKING, ids=[str(rules) for rules, *_ in BREAKING])
def test_without_a_rule_it_breaks(without: Rules, scope: Scope, promise: str) -> None:
    counterexample = explored(scope, without).counterexample

    assert counterexample is not None
    print(counterexample)  # noqa: T201 - shown with -rP: the shortest way to break the promise, in words
    assert promise in counterexample.splitlines()[-1]


@pytest.mark.chaos
@pytest.mark.parametrize("without", [Rules(checks_the_epoch=False), Rules(checks_the_revision=False)], ids=str)
def test_of_the_two_fences_at_a_commit_each_is_enough(without: Rules) -> None:
    assert explored(TWO, without).counterexample is None
