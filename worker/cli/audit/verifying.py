"""`audit verify`: whether the trail holds, in the ledger or in a file that was exported from it."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import typer

from worker.cli.audit.copies import Copy, Judged, opened
from worker.cli.audit.progress import progress
from worker.cli.choices import AsJson, examples
from worker.cli.exits import ExitCode, finish
from worker.cli.parts import ledger, settings
from worker.cli.show import cell, console, print_json
from worker.cli.witnesses import Witnesses, read_witnesses
from worker.ledger import trail
from worker.ledger.exported.verification import Coverage
from worker.ledger.trail import Verdict
from worker.settings import Settings

app = typer.Typer()

Account = Annotated[str | None, typer.Option("--account", help="Only this account. Default: all of the ledger.")]

_PROVES = {
    Coverage.WHOLE: "Nothing is missing: it holds each chain from its first event to its head at the export.",
    Coverage.STRETCH: "Nothing is missing between its first and its last event; it says nothing about what was before "
    "and after.",
    Coverage.SELECTION: "Each event is as it was written, and linked to the one before where that is in the file too. "
    "Whether the selection was made rightly, only the ledger tells.",
}
_NO_MANIFEST = "Without its manifest, what was cut off at an end does not show: give it with --manifest."
_NO_ANCHORS = "A file that was made anew as a whole shows only in subscribers' copies: give them with --anchors."
_ELSEWHERE = (
    "anchors are of events that are not in the file. That is right for confirmations from outside of its range; of one "
    "from inside it, events were taken out of the ledger before the export."
)


@app.command(
    epilog=examples(
        "mt5-worker audit verify",
        "mt5-worker audit verify --account main --anchors confirmations.jsonl",
        "mt5-worker audit verify march.jsonl --anchors confirmations.jsonl",
    )
)
def verify(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="An export, - = stdin; needs no ledger and no settings.", show_default="the ledger"
        ),
    ] = None,
    manifest: Annotated[
        str | None, typer.Option(metavar="FILE", help="The export's manifest.", show_default="FILE.manifest.json")
    ] = None,
    anchors: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Subscribers' confirmations: one JSON object a line, or an array; - = stdin."
        ),
    ] = None,
    account: Account = None,
    as_json: AsJson = False,
) -> None:
    """
    Follow every chain and name the first event that does not hold: changed, missing, added or replaced.

    A chain that was rewritten as a whole holds together. Only copies outside the database show that, and an end that
    was cut off: each confirmation carries an anchor, so give subscribers' confirmations with --anchors.

    Exit code 1 when a fault is found.
    """
    if file is None:
        _verify_ledger(manifest, anchors, account, as_json=as_json)
        return
    if account is not None:
        raise typer.BadParameter("--account chooses a chain of the ledger: a file is verified as a whole")
    if file == anchors == "-":
        raise typer.BadParameter("only one of them can come from standard input")
    _verify_file(file, manifest, anchors, as_json=as_json)


def _verify_file(name: str, manifest: str | None, anchors: str | None, *, as_json: bool) -> None:
    witnesses = {} if anchors is None else read_witnesses(anchors)
    with opened(name, manifest) as copy, progress() as show:
        judged = copy.judge(witnesses, lambda done: show(name, done, copy.size))
    if as_json:
        print_json([judged.as_json()])
    else:
        for line in _lines(copy, judged, are_anchored=anchors is not None):
            console().print(cell(line), soft_wrap=judged.problem is not None)  # a place can be copied
    if judged.problem is not None:
        raise typer.Exit(ExitCode.FAILED)


def _lines(copy: Copy, judged: Judged, *, are_anchored: bool) -> list[str]:
    if judged.verdict is None or judged.problem is not None:
        return [f"{judged.where}: {judged.problem}"]
    lines = [f"{copy.name}: {judged.verdict.events} events, internally consistent"]
    for part in judged.verdict.parts:
        if part.events:
            gaps = f", {part.left_out} of them left out" if part.left_out else ""
            lines.append(f"account {part.account}: events {part.first_sequence} to {part.last_sequence}{gaps}")
    if copy.manifest is not None:
        lines.append(f"as exported by {copy.manifest.exported_by} at {copy.manifest.exported_at}")
    lines.append(_PROVES[judged.verdict.coverage])
    if copy.manifest is None:
        lines.append(_NO_MANIFEST)
    if are_anchored:
        lines.append(f"{judged.verdict.witnesses} anchors of subscribers agree")
        if judged.verdict.elsewhere:
            lines.append(f"{judged.verdict.elsewhere} {_ELSEWHERE}")
    else:
        lines.append(_NO_ANCHORS)
    return lines


def _verify_ledger(manifest: str | None, anchors: str | None, account: str | None, *, as_json: bool) -> None:
    if manifest is not None:
        raise typer.BadParameter("--manifest belongs to an exported file: name the file, too")
    witnesses = {} if anchors is None else read_witnesses(anchors)
    verdicts = finish(_follow_chains(settings(), account, witnesses))
    if as_json:
        print_json([_as_json(verdict) for verdict in verdicts])
    else:
        for verdict in verdicts:
            console().print(cell(_sentence(verdict)), soft_wrap=True)
    if any(verdict.fault for verdict in verdicts):
        raise typer.Exit(ExitCode.FAILED)


async def _follow_chains(found: Settings, account: str | None, witnesses: Witnesses) -> list[Verdict]:
    async with ledger(found) as desk:
        names = await trail.chains(desk, account)
        strangers = [] if account else sorted(witnesses.keys() - set(names))
        verdicts = []
        with progress() as show:
            for name in [*names, *strangers]:
                held = witnesses.get(name, [])
                verdicts.append(await trail.verify(desk, name, held, partial(show, name)))
        return verdicts


def _as_json(verdict: Verdict) -> dict[str, Any]:
    fault = verdict.fault
    return {
        "account": verdict.account,
        "holds": fault is None,
        "head": asdict(verdict.head),
        "anchors": verdict.witnesses,
        "fault": None if fault is None else {"sequence": fault.sequence, "problem": fault.problem},
    }


def _sentence(verdict: Verdict) -> str:
    if verdict.fault is not None:
        return f"account {verdict.account}: {verdict.fault.problem}"
    said = f"account {verdict.account}: {verdict.head.sequence} events, internally consistent"
    return f"{said}; {verdict.witnesses} anchors of subscribers agree" if verdict.witnesses else said
