"""What `dlq replay` says: the plan, what was refused and why, and how each replay ended."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import typer

from worker.cli.dlq.plans import counted
from worker.cli.exits import complain
from worker.cli.show import cell, console, print_json, print_table, shortened
from worker.ledger.replay_plan import PlannedReplay
from worker.ledger.replay_round import End, Outcome
from worker.pipeline.prospects import Fate

_ROWS = 50  # for people; `--json` has them all


class Report:
    """Collects what happens to the letters of one command, and tells it to a person or a program."""

    def __init__(self, planned: Sequence[PlannedReplay], *, is_bulk: bool, as_json: bool) -> None:
        self.outcomes: dict[UUID, Outcome] = {}
        self.ends: Mapping[UUID, End] = {}
        self._planned = planned
        self._is_bulk = is_bulk
        self._as_json = as_json

    @property
    def possible(self) -> list[UUID]:
        """The letters that are worth trying."""
        return [one.letter_id for one in self._planned if one.prospect.fate.is_possible]

    @property
    def on_their_way(self) -> list[UUID]:
        """The letters whose messages are published."""
        return [letter_id for letter_id, outcome in self.outcomes.items() if outcome.replay_id is not None]

    @property
    def is_stopped(self) -> bool:
        """Whether some were left."""
        return len(self.outcomes) < len(self.possible)

    @property
    def is_success(self) -> bool:
        """Whether none was refused, and none is known to have failed again or, having been waited for, to be open."""
        has_ended = all(end.state == "resolved" for end in self.ends.values())
        return len(self.on_their_way) == len(self._planned) and has_ended

    def show_plan(self) -> None:
        """Show what would become of each."""
        if self._as_json:
            print_json([self._as_object(one) for one in self._planned])
            return
        fates = list(Fate)
        ordered = sorted(self._planned, key=lambda one: fates.index(one.prospect.fate))
        rows = [[f"{one.letter_id}\n{_trade(one)}", _what(one)] for one in ordered[:_ROWS]]
        columns = ["dead letter, trade", "what would happen"]
        print_table(columns, rows, none="no dead letter fits", whole=columns[:1])
        if len(ordered) > _ROWS:
            sys.stdout.write(_more(len(ordered)))
        if ordered:
            console().print(cell(f"{counted(len(ordered))}: {self._in_short()}"))

    def agree(self, *, yes: bool) -> None:
        """Show the plan of a bulk replay and ask, unless the person has said yes, or nothing can be replayed anyway."""
        if not self._is_bulk:
            return
        if not self._as_json:
            self.show_plan()
        if self.possible and not yes:
            said = f"{counted(len(self.possible))} will be published again ({self._in_short()})"
            typer.confirm(f"{said}. Go on?", abort=True, err=True)

    def tell(self, outcome: Outcome) -> None:
        """Take note of what came of one letter."""
        self.outcomes[outcome.letter_id] = outcome

    def finish(self) -> None:
        """Tell how it went, as far as it went."""
        if self._as_json:
            print_json([self._as_object(one) for one in self._planned])
        else:
            self._tell_people()
        refusals = self._refusals()
        for sentence in refusals[:_ROWS]:
            complain(sentence)
        if len(refusals) > _ROWS:
            complain(_more(len(refusals)).strip())
        if self.is_stopped:
            went, left = counted(len(self.on_their_way)), len(self.possible) - len(self.outcomes)
            complain(f"stopped: {went} went, {left} are left; the same command goes on with them")

    def _tell_people(self) -> None:
        went = self.on_their_way
        if not went:
            return
        if not self.ends:
            name = "ID" if self._is_bulk else went[0]
            sys.stdout.write(f"{counted(len(went))} replayed; `mt5-worker dlq show {name}` tells how it ends\n")
            return
        rows = [[end.letter_id, end.state, _end(end)] for end in list(self.ends.values())[:_ROWS]]
        print_table(["dead letter", "state", "its trade"], rows, none="", whole=["dead letter"])
        if len(self.ends) > _ROWS:
            sys.stdout.write(_more(len(self.ends)))
        states = Counter(end.state for end in self.ends.values())
        told = ", ".join(f"{number} {_words(state)}" for state, number in states.most_common())
        sys.stdout.write(f"{counted(len(went))} replayed: {told}\n")

    def _refusals(self) -> list[str]:
        """Return why what was refused was refused; what the plan has shown is not told again."""
        planned = [one.sentence for one in self._planned if not one.prospect.fate.is_possible]
        later = [outcome.refusal for outcome in self.outcomes.values() if outcome.refusal is not None]
        return later if self._is_bulk and not self._as_json else [*planned, *later]

    def _in_short(self) -> str:
        fates = Counter(one.prospect.fate for one in self._planned)
        return ", ".join(f"{fates[fate]} {_words(fate)}" for fate in Fate if fates[fate])

    def _as_object(self, one: PlannedReplay) -> dict[str, Any]:
        outcome = self.outcomes.get(one.letter_id)
        end = self.ends.get(one.letter_id)
        refusal = outcome.refusal if outcome else None if one.prospect.fate.is_possible else one.sentence
        return {
            "id": one.letter_id,
            "account": one.account,
            "reason": one.reason,
            "trade_id": one.trade_id,
            "execution_id": one.execution_id,
            "prospect": one.prospect.fate,
            "detail": one.prospect.detail,
            "replay_id": outcome.replay_id if outcome else None,
            "refusal": refusal,
            "state": end.state if end else None,
            "status": end.status if end else None,
        }


def _what(one: PlannedReplay) -> str:
    return f"{_words(one.prospect.fate)}\n{one.prospect.detail}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _trade(one: PlannedReplay) -> str:
    return "-" if one.trade_id is None else shortened(one.trade_id)


def _end(end: End) -> str:
    return "-" if end.status is None else end.status if end.reason is None else f"{end.status}, {end.reason}"


def _more(number: int) -> str:
    return f"... and {number - _ROWS} more; --json has them all\n"
