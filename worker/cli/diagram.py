"""
The state diagram, drawn from the table of transitions, for whoever reads `ops/decisions/`.

`python -m worker.cli.diagram [--check] [FILE]` writes it (default: `ops/decisions/states.md` below the present folder),
or with `--check` says whether the file differs from the table; exit code 1 if it does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from worker.domain.execution import FINAL, OPEN, TRANSITIONS, State

PLACE = Path("ops/decisions/states.md")

MEANINGS = {
    State.RECEIVED: "written down and validated; nothing of it stands at the broker",
    State.SUBMITTING: "written ahead of a send; the order may be on its way",
    State.ACCEPTED: "the broker has the order; its deals decide",
    State.WORKING_PARTIAL: "a part is executed, the rest still works",
    State.CANCELLING: "its time is over: the cancel is written ahead, and asked for until the order has ended",
    State.UNKNOWN: "no answer proves what happened; evidence is sought, nothing is sent",
    State.UNRESOLVED: "evidence decided nothing within its time: a person is asked, the search goes on",
    State.FILLED: "everything asked for was executed",
    State.PARTIALLY_FILLED: "a part was executed, the rest never will be",
    State.REJECTED: "a check or the broker refused; nothing was executed",
    State.EXPIRED: "too old before any order, or not filled in time and cancelled by us; nothing was executed",
    State.CANCELLED: "the order was cancelled by someone else; nothing was executed",
    State.ERROR: "all sends were used up, each proved not executed; an operator's replay reopens it",
}

_DOCUMENT = """\
# The states of an execution

Drawn by `make diagram` from `TRANSITIONS` in `worker/domain/execution.py`; a test fails when this page and the table
differ, and another when the database's table does. What no arrow shows raises in the worker and is refused by the
database. Steps that stay in their state (a deal more, a ticket learnt) are not drawn.

## From the message to the confirmation
{way}
## After the end
A final state changes when the broker shows a deal that it had not shown before: the next version of the confirmation
says so. `error` is reopened by an operator's replay, for nothing of it was executed.
{afterwards}
## What each state means
| state | | meaning |
|---|---|---|
{meanings}"""


def document() -> str:
    """Return the page: two drawings and a line for each state."""
    return _DOCUMENT.format(
        way=_drawing(f"    [*] --> {State.RECEIVED}", *_arrows(frozenset(State) - FINAL)),
        afterwards=_drawing(*_arrows(FINAL)),
        meanings="".join(f"| `{state}` | {_kind(state)} | {MEANINGS[state]} |\n" for state in State),
    )


def _drawing(*arrows: str) -> str:
    return "\n".join(["```mermaid", "stateDiagram-v2", *arrows, "```", ""])


def _arrows(sources: Collection[State]) -> Iterator[str]:
    for source in State:
        if source in sources:
            yield from (f"    {source} --> {target}" for target in State if target in TRANSITIONS[source])


def _kind(state: State) -> str:
    if state in OPEN:
        return "open"
    return "final" if state in FINAL else "settled, not final"


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m worker.cli.diagram", description="Draw the states.")
    parser.add_argument("file", type=Path, nargs="?", default=PLACE, help=f"where to (default: {PLACE})")
    parser.add_argument("--check", action="store_true", help="only say whether the file differs from the table")
    options = parser.parse_args(arguments)
    if not options.check:
        options.file.write_text(document(), encoding="utf-8", newline="\n")
        return 0
    if options.file.is_file() and options.file.read_text(encoding="utf-8") == document():
        return 0
    sys.stdout.write(f"{options.file} differs from the table of transitions: run `make diagram`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
