"""`dlq replay`: trying dead letters again."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from schemas.refusals import RefusedMessage
from worker.cli.choices import AlreadyAsked, By, Reason, examples
from worker.cli.dlq.letter import LetterId, letter_uuid
from worker.cli.exits import finish
from worker.cli.parts import ledger, settings
from worker.ledger import desk as letters
from worker.ledger.desk import StoredLetter
from worker.ledger.replays import ReplayOrder
from worker.ledger.replays import replay as order_replay
from worker.pipeline.intake import read_trade
from worker.settings import Settings

app = typer.Typer()


@app.command(epilog=examples('mt5-worker dlq replay 0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a --reason "prices are back"'))
def replay(
    letter_id: LetterId,
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


async def _replay(found: Settings, letter_id: str, by: str, reason: str, *, allow_stale: bool) -> UUID:
    async with ledger(found) as desk:
        letter = await letters.dead_letter(desk, letter_uuid(letter_id))
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
