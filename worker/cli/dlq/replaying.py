"""`dlq replay`: trying dead letters again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from worker.cli.choices import AsJson, By, Yes, examples
from worker.cli.dlq.filters import chosen, for_change
from worker.cli.dlq.letter import LetterIds
from worker.cli.dlq.plans import progress
from worker.cli.dlq.replay_report import Report
from worker.cli.exits import ExitCode, finish
from worker.cli.interrupts import stopped_by_ctrl_c
from worker.cli.parts import ledger, settings
from worker.ledger.desk import MOST_LETTERS, LetterFilter, LetterState, letters_to_change
from worker.ledger.operators import Operator
from worker.ledger.replay_plan import PlannedReplay, plan
from worker.ledger.replay_round import ends, replay_each
from worker.ledger.replays import ReplayOrder
from worker.pipeline.prospects import Terms
from worker.settings import Settings

app = typer.Typer()

INTERRUPTED = 130  # what a shell says of a program that Ctrl-C has ended
_OPEN = (LetterState.NEW, LetterState.FAILED_AGAIN)

WhyUnlessDry = Annotated[
    str,
    typer.Option(
        "--reason",
        show_default="needed unless it is a dry run",
        help="Why, for the audit trail.",
    ),
]


@app.command(
    epilog=examples(
        'mt5-worker dlq replay 0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a --reason "prices are back"',
        "mt5-worker dlq replay --failure network_error --since 2h --dry-run",
        'mt5-worker dlq replay --group 3f9ac01b77de --reason "fixed in 2.4" --wait 30 --yes',
    )
)
@for_change
def replay(
    *,
    ids: LetterIds = None,
    by: By,
    reason: WhyUnlessDry = "",
    wanted: LetterFilter,
    allow_stale: Annotated[
        bool, typer.Option("--allow-stale", help="Also try what was approved too long ago.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would become of each.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, max=MOST_LETTERS, show_default="all", help="At most so many, the oldest first."),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.01, max=1000, help="At most so many letters a second.")] = 10.0,
    wait: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Wait for the worker's report on all, at most so long."),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """
    Publish dead letters' messages once more: those that are named, or all open ones of a filter.

    Of a message that failed again and again a filter takes the latest letter only. A message that never was a trade
    is taken as new. A trade that ended in `error`, proved not executed, is tried again as the same execution.
    Anything else is only confirmed again. What is unresolved or stale is refused, and so is what is being replayed
    already. --allow-stale lifts the age limit and nothing else: what was never tried is measured against today's
    price, what was tried against that of its first validation, and rejected as `price_moved` when the price has
    moved too far since. Each letter is one step: Ctrl-C stops between two of them, and the same command goes on
    with the rest. Exit code 1 when any of them was refused, or failed again within --wait.
    """
    if not reason.strip() and not dry_run:
        raise typer.BadParameter("say why: it is written into the audit trail", param_hint="--reason")
    found = settings()
    terms = Terms(timedelta(seconds=found.max_trade_age_seconds), allow_stale=allow_stale)
    named = chosen(ids, wanted)
    planned = finish(_plan(found, named, wanted, limit, terms))
    report = Report(planned, is_bulk=len(named) != 1, as_json=as_json)
    if dry_run:
        report.show_plan()
        return
    report.agree(yes=yes)
    try:
        finish(_carry_out(found, ReplayOrder(by=by, reason=reason.strip(), terms=terms), report, rate, wait))
    finally:
        report.finish()
    raise typer.Exit(_exit_code(report))


def _exit_code(report: Report) -> int:
    if report.is_stopped:
        return INTERRUPTED
    return ExitCode.DONE if report.is_success else ExitCode.FAILED


async def _plan(
    found: Settings, named: Sequence[UUID], wanted: LetterFilter, limit: int | None, terms: Terms
) -> Sequence[PlannedReplay]:
    async with ledger(found) as desk:
        if not named:
            fitting = await letters_to_change(desk, replace(wanted, states=_OPEN, latest=True), limit)
            named = [letter.id for letter in fitting]
        return await plan(desk, named, terms)


async def _carry_out(found: Settings, order: ReplayOrder, report: Report, rate: float, wait: float | None) -> None:
    async with ledger(found) as desk:
        with stopped_by_ctrl_c() as stop:
            await _replay(desk, order, report, rate, stop)
            if wait is not None:
                report.ends = await ends(desk, report.on_their_way, wait, stop)


async def _replay(desk: Operator, order: ReplayOrder, report: Report, rate: float, stop: asyncio.Event) -> None:
    with progress("replayed") as on_progress:
        async with aclosing(replay_each(desk, report.possible, order, rate=rate, stop=stop)) as outcomes:
            async for outcome in outcomes:
                report.tell(outcome)
                on_progress(len(report.outcomes), len(report.possible))
