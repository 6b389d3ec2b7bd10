"""Exporting the audit trail: its events on their way to a file, and the manifest of what went there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from worker import __version__
from worker.ledger import trail
from worker.ledger.exported.codec import HEADS, Format, encode
from worker.ledger.exported.manifest import Manifest, Part, Span, Tally, contents
from worker.ledger.operators import Operator
from worker.ledger.trail import Selection

Write = Callable[[bytes], Any]
Progress = Callable[[str, int, int], None]


async def export(  # noqa: PLR0913 - what, how, for whom and where to
    desk: Operator,
    wanted: Selection,
    form: Format,
    *,
    by: str,
    write: Write,
    on_progress: Progress = lambda _account, _done, _of: None,
) -> Manifest:
    """
    Write the wanted events, account by account in the order of their chains, and return their manifest.

    It changes nothing, and so leaves no event of its own: whoever may only read the ledger can export it. Each account
    is exported up to its head at the moment when its turn comes. Memory is bounded by a page of events. Progress is
    told as the account, the event that was reached, and its last one. Raises NotFound for an unknown account or trade.
    """
    tally, at = Tally(form), desk.clock.now()
    write(HEADS[form])
    parts = [
        await _export_account(desk, account, wanted, form, tally, write, on_progress)
        for account in await trail.chains(desk, wanted.account)
    ]
    return Manifest(
        program=f"mt5-worker {__version__}",
        exported_at=at.isoformat(timespec="microseconds"),
        exported_by=by,
        ledger=dict(await trail.identity(desk)),
        format=form,
        filters=_as_told(wanted),
        contents=contents(tally, parts),
    )


async def _export_account(  # noqa: PLR0913, PLR0917 - one step of the export, with all that it has
    desk: Operator,
    account: str,
    wanted: Selection,
    form: Format,
    tally: Tally,
    write: Write,
    on_progress: Progress,
) -> Part:
    ends = await trail.chain_ends(desk, account)
    span = Span(account, ends.head)
    async for row in trail.events(desk, account, ends, wanted):
        text = encode(row, form)
        write(text)
        tally.take(text)
        span.take(row)
        on_progress(account, row.sequence, ends.last)
    return span.part()


def _as_told(wanted: Selection) -> dict[str, str | None]:
    return {
        "account": wanted.account,
        "from": None if wanted.since is None else wanted.since.isoformat(),
        "to": None if wanted.until is None else wanted.until.isoformat(),
        "symbol": wanted.symbol,
        "trade": wanted.trade,
    }
