"""`dlq list` and `dlq show`: what needs a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import typer

from worker.cli.choices import AsJson, Limit, examples, rows
from worker.cli.dlq.filters import for_listing
from worker.cli.dlq.letter import LetterId, letter_uuid
from worker.cli.exits import finish
from worker.cli.parts import ledger, settings
from worker.cli.show import cell, console, print_fields, print_json, print_table
from worker.ledger import desk as letters
from worker.ledger.desk import LetterFilter, LetterLine, StoredLetter
from worker.settings import Settings

app = typer.Typer()

_SHOWN_CHARACTERS = 4000


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
    found = finish(_list(settings(), wanted, rows(limit, as_json=as_json)))
    if as_json:
        print_json([asdict(line) for line in found])
        return
    cells = [[line.id, f"{line.reason}\n{line.state}", f"{line.trade_id or '-'}\n{line.detail}"] for line in found]
    print_table(["id", "reason, state", "trade, detail"], cells, none="no dead letter fits", whole=["id"])


@app.command(epilog=examples("mt5-worker dlq show 0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a"))
def show(letter_id: LetterId, as_json: AsJson = False) -> None:
    """Show one dead letter: why it failed, its headers, and the message as it was published."""
    letter = finish(_show(settings(), letter_id))
    if as_json:
        print_json(asdict(letter.line) | {"headers": letter.headers, "message": asdict(letter.message)})
        return
    print_fields(asdict(letter.line) | letter.headers)
    body = _readable(letter.message.body)
    rest = f"\n... and {len(body) - _SHOWN_CHARACTERS} characters more" if len(body) > _SHOWN_CHARACTERS else ""
    console().print(cell(f"\n{body[:_SHOWN_CHARACTERS]}{rest}"))


async def _list(found: Settings, wanted: LetterFilter, limit: int) -> Sequence[LetterLine]:
    async with ledger(found) as desk:
        return await letters.dead_letters(desk, wanted, limit)


async def _show(found: Settings, letter_id: str) -> StoredLetter:
    async with ledger(found) as desk:
        return await letters.dead_letter(desk, letter_uuid(letter_id))


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "backslashreplace")
