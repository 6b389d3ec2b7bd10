"""`dlq`: what needs a person."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from schemas.refusals import RefusedMessage
from worker.cli.choices import AlreadyAsked, AsJson, By, Limit, Reason, examples, rows
from worker.cli.exits import finish
from worker.cli.parts import ledger, settings
from worker.cli.show import cell, console, print_fields, print_json, print_table
from worker.domain.errors import NotFound
from worker.ledger import desk as letters
from worker.ledger.desk import LetterFilter, LetterLine, StoredLetter
from worker.ledger.replays import ReplayOrder
from worker.ledger.replays import replay as order_replay
from worker.pipeline.intake import read_trade
from worker.settings import Settings

app = typer.Typer(name="dlq", help="Dead letters: messages and trades that need a person.", no_args_is_help=True)

_SHOWN_CHARACTERS = 4000
_Id = Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id, as `dlq list` shows it.")]


@app.command("list", epilog=examples("mt5-worker dlq list", "mt5-worker dlq list --state new --json"))
def list_(
    state: Annotated[str | None, typer.Option(help="new, replaying, resolved, failed_again or discarded.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only those of this reason, such as schema_invalid.")] = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters of all accounts, the newest first."""
    found = finish(_list(settings(), LetterFilter(state=state, reason=reason), rows(limit, as_json=as_json)))
    if as_json:
        print_json([asdict(line) for line in found])
        return
    cells = [[line.id, f"{line.reason}\n{line.state}", f"{line.trade_id or '-'}\n{line.detail}"] for line in found]
    print_table(["id", "reason, state", "trade, detail"], cells, none="no dead letter fits", whole=["id"])


@app.command(epilog=examples("mt5-worker dlq show 0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a"))
def show(letter_id: _Id, as_json: AsJson = False) -> None:
    """Show one dead letter: why it failed, its headers, and the message as it was published."""
    letter = finish(_show(settings(), letter_id))
    if as_json:
        print_json(asdict(letter.line) | {"headers": letter.headers, "message": asdict(letter.message)})
        return
    print_fields(asdict(letter.line) | letter.headers)
    body = _readable(letter.message.body)
    rest = f"\n... and {len(body) - _SHOWN_CHARACTERS} characters more" if len(body) > _SHOWN_CHARACTERS else ""
    console().print(cell(f"\n{body[:_SHOWN_CHARACTERS]}{rest}"))


@app.command(epilog=examples('mt5-worker dlq replay 0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a --reason "prices are back"'))
def replay(
    letter_id: _Id,
    by: By,
    reason: Reason,
    allow_stale: Annotated[
        bool, typer.Option("--allow-stale", help="Trade it although the approval is too old, at today's price.")
    ] = False,
    yes: AlreadyAsked = False,  # noqa: ARG001 - one message is no bulk change
) -> None:
    """
    Publish a dead letter's message once more.

    A message that never was a trade is taken as new. A trade that ended in `error`, proved not executed, is tried again
    as the same execution. Anything else is only confirmed again; `unresolved` is refused.
    """
    replay_id = finish(_replay(settings(), letter_id, by, reason, allow_stale=allow_stale))
    sys.stdout.write(f"replay {replay_id} is on its way; `mt5-worker dlq show {letter_id}` tells how it ends\n")


async def _list(found: Settings, wanted: LetterFilter, limit: int) -> Sequence[LetterLine]:
    async with ledger(found) as desk:
        return await letters.dead_letters(desk, wanted, limit)


async def _show(found: Settings, letter_id: str) -> StoredLetter:
    async with ledger(found) as desk:
        return await letters.dead_letter(desk, _uuid(letter_id))


async def _replay(found: Settings, letter_id: str, by: str, reason: str, *, allow_stale: bool) -> UUID:
    async with ledger(found) as desk:
        letter = await letters.dead_letter(desk, _uuid(letter_id))
        order = ReplayOrder(
            letter_id=letter.line.id,
            by=by,
            reason=reason,
            allow_stale=allow_stale,
            max_trade_age=timedelta(seconds=found.max_trade_age_seconds),
            approved_at=_approved_at(letter),
        )
        return await order_replay(desk, order)


def _approved_at(letter: StoredLetter) -> datetime | None:
    try:
        trade = read_trade(letter.message, letter.line.account or "", datetime.now(UTC))
    except RefusedMessage:
        return None  # it will be refused again, whatever its age
    return trade.decision.approved_at


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"there is no dead letter {text}") from None


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "backslashreplace")
