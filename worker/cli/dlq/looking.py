"""`dlq list` and `dlq groups`: what needs a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import typer

from worker.cli.choices import AsJson, Limit, examples, rows
from worker.cli.dlq.filters import for_listing
from worker.cli.exits import finish
from worker.cli.parts import ledger, settings
from worker.cli.show import looking, print_json, print_table, shortened, words
from worker.ledger import desk as letters
from worker.ledger.desk import LetterFilter, LetterGroup, LetterLine
from worker.settings import Settings

app = typer.Typer()

_NONE = "no dead letter fits; names are compared letter for letter"
_DETAIL_CHARACTERS = 160  # in a listing; `dlq show` has all of it


@app.command(
    "list",
    epilog=examples(
        "mt5-worker dlq list --state new --since 2h",
        "mt5-worker dlq list --reason schema_invalid --symbol EURUSD --json",
        "mt5-worker dlq list --text RPM-20260302",
    ),
)
@for_listing
def list_(wanted: LetterFilter, limit: Limit = None, as_json: AsJson = False) -> None:
    """List dead letters of all accounts, the newest first."""
    with looking():
        found = finish(_list(settings(), wanted, rows(limit, as_json=as_json)))
    if as_json:
        print_json([asdict(line) for line in found])
        return
    columns = ["id\nfailed, UTC\nreason, state", "account, symbol\ntrade\ndetail"]
    print_table(columns, map(_cells, found), none=_NONE, whole=columns[:1])


@app.command(
    epilog=examples(
        "mt5-worker dlq groups", "mt5-worker dlq groups --state new --since 1d", "mt5-worker dlq groups --json"
    )
)
@for_listing
def groups(wanted: LetterFilter, limit: Limit = None, as_json: AsJson = False) -> None:
    """
    Group dead letters by reason and fingerprint: what failed in the same way, how often, from when to when.

    A fingerprint is made of reason, exception and detail without its numbers, ids and quoted values. Each command that
    takes a filter takes a group with --group.
    """
    with looking():
        found = finish(_groups(settings(), wanted, rows(limit, as_json=as_json)))
    if as_json:
        print_json([asdict(group) for group in found])
        return
    columns = ["group\nletters", "reason\nfirst, UTC\nlast, UTC", "exception, example"]
    print_table(columns, map(_group_cells, found), none=_NONE, whole=columns[:2])


def _cells(line: LetterLine) -> list[str]:
    whose = f"{shortened(line.account or '-')}, {line.symbol or '-'}\n{line.trade_id or '-'}"
    what = f"{words(line.failed_at)}\n{line.reason}, {line.state}"
    return [f"{line.id}\n{what}", f"{whose}\n{_cut(line.detail)}"]


def _group_cells(group: LetterGroup) -> list[str]:
    states = "\n".join(f"{number} {state}" for state, number in sorted(group.states.items()))
    example = _cut(group.example)
    return [
        f"{group.fingerprint}\n{states}",
        f"{group.reason}\n{words(group.first_at)}\n{words(group.last_at)}",
        example if group.exception is None else f"{shortened(group.exception)}\n{example}",
    ]


def _cut(detail: str) -> str:
    return detail if len(detail) <= _DETAIL_CHARACTERS else f"{detail[:_DETAIL_CHARACTERS]}..."


async def _list(found: Settings, wanted: LetterFilter, limit: int) -> Sequence[LetterLine]:
    async with ledger(found) as desk:
        return await letters.dead_letters(desk, wanted, limit)


async def _groups(found: Settings, wanted: LetterFilter, limit: int) -> Sequence[LetterGroup]:
    async with ledger(found) as desk:
        return await letters.letter_groups(desk, wanted, limit)
