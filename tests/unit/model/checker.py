"""Breadth-first search over every interleaving: the first bad state found is one of the nearest."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tests.fixtures.untraced import untraced

S = TypeVar("S")
Steps = Callable[[S], Iterable[tuple[str, S]]]


@dataclass(slots=True)
class Exploration(Generic[S]):
    """What a search has found. `came_from` holds each state's predecessor on a shortest way, and the step in words."""

    came_from: dict[S, tuple[S, str] | None] = field(default_factory=dict)
    progress: dict[S, list[S]] = field(default_factory=dict)  # the moves that need no fault
    counterexample: str | None = None

    def way_to(self, state: S) -> list[str]:
        """Return the steps of a shortest way to a state."""
        steps: list[str] = []
        while (before := self.came_from[state]) is not None:
            state, words = before
            steps.append(words)
        return steps[::-1]

    def stuck(self, is_done: Callable[[S], bool]) -> list[S]:
        """Return the states from which no end can be reached any more."""
        with untraced():
            reaching = self._reaching(is_done)
            return [state for state in self.came_from if state not in reaching]

    def _reaching(self, is_done: Callable[[S], bool]) -> set[S]:
        predecessors: dict[S, list[S]] = {}
        for state, following in self.progress.items():
            for after in following:
                predecessors.setdefault(after, []).append(state)
        reaching = {state for state in self.came_from if is_done(state)}
        frontier = deque(reaching)
        while frontier:
            for before in predecessors.get(frontier.popleft(), ()):
                if before not in reaching:
                    reaching.add(before)
                    frontier.append(before)
        return reaching


def explore(start: S, moves: Steps[S], faults: Steps[S], broken: Callable[[S], str | None]) -> Exploration[S]:
    """Visit every state that can be reached, or stop at the first that is broken and tell the way there in words."""
    with _no_garbage(), untraced():
        return _explore(start, moves, faults, broken)


def _explore(start: S, moves: Steps[S], faults: Steps[S], broken: Callable[[S], str | None]) -> Exploration[S]:
    found = Exploration[S](came_from={start: None})
    frontier = deque([start])
    while frontier:
        state = frontier.popleft()
        if (problem := broken(state)) is not None:
            found.counterexample = told(found.way_to(state), problem)
            return found
        following = list(moves(state))
        found.progress[state] = [after for _, after in following if after != state]
        for words, after in (*following, *faults(state)):
            if after not in found.came_from:
                found.came_from[after] = (state, words)
                frontier.append(after)
    return found


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Keep the collector from walking through a million tuples again and again, none of which is garbage."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def told(steps: list[str], problem: str) -> str:
    """Tell a story of steps and what was wrong at its end."""
    lines = [f"{number:>3}. {step}" for number, step in enumerate(steps, start=1)]
    return "\n".join([*lines, f"  => {problem}"])
