"""`dlq show`: all that is known of one dead letter."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.advice import to_do_about
from worker.cli.choices import AsJson, examples
from worker.cli.dlq.letter import LetterId, letter_uuid
from worker.cli.exits import finish
from worker.cli.new_file import new_file
from worker.cli.parts import ledger, settings
from worker.cli.show import cell, console, print_fields, print_json, print_table, words
from worker.cli.story import story_as_json
from worker.domain.execution import Execution
from worker.ledger.desk import LetterLine
from worker.ledger.history import ReplayLine
from worker.ledger.letter_story import LetterStory, letter_story
from worker.settings import Settings

app = typer.Typer()

_SHOWN_CHARACTERS = 4000
_SIDES = {1: "buy", -1: "sell"}


@app.command(
    epilog=examples(
        "mt5-worker dlq show 0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a",
        "mt5-worker dlq show 0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a --json",
        "mt5-worker dlq show 0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a --body message.json",
    )
)
def show(
    letter_id: LetterId,
    body: Annotated[
        Path | None,
        typer.Option(
            "--body", metavar="FILE|-", help="Only write the message's body, byte for byte: a new file, or - = stdout."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """
    Show one dead letter: whether an order stands at the broker, what to do, why it failed, and what came of it.

    With its headers, the failures before and after it, all replays, its trade and the confirmations of it.
    """
    story = finish(_story(settings(), letter_id))
    if body is not None:
        _write(body, story.letter.message.body)
    elif as_json:
        print_json(_as_json(story))
    else:
        _print(story)


async def _story(found: Settings, letter_id: str) -> LetterStory:
    async with ledger(found) as desk:
        return await letter_story(desk, letter_uuid(letter_id))


def _write(place: Path, body: bytes) -> None:
    if str(place) == "-":
        sys.stdout.buffer.write(body)
        return
    with new_file(place) as file:
        file.write(body)


def _as_json(story: LetterStory) -> dict[str, Any]:
    letter, trade = story.letter, story.trade
    body = base64.b64encode(letter.message.body).decode()
    return asdict(letter.line) | {
        "at_broker": {"answer": story.at_broker.answer, "why": story.at_broker.why},
        "units_at_risk": story.at_broker.units_at_risk,
        "to_do": to_do_about(story),
        "headers": letter.headers,
        "message": asdict(letter.message) | {"body_base64": body},
        "failures": [asdict(line) for line in story.failures],
        "replays": [asdict(replay) for replay in story.replays],
        "execution": None if trade is None else story_as_json(trade),
        "confirmations": [asdict(told) | {"body": json.loads(told.body)} for told in story.confirmations],
    }


def _print(story: LetterStory) -> None:
    console().print(cell(f"An order at the broker? {story.at_broker}"), style="bold", soft_wrap=False)
    to_do = "\n".join(to_do_about(story)) or "nothing"
    print_fields({"at risk": _at_risk(story), "to do": to_do, **_about(story.letter.line), **_trade(story)})
    columns = ["failed, UTC", "reason, state", "dead letter"]
    _section("Failures of this message or trade", columns, _failures(story), whole=columns[2:])
    _section("Replays", ["ordered, UTC", "by, why", "came to"], [_replay(one) for one in story.replays])
    _section("Confirmations", ["version", "status", "made, UTC", "published, UTC"], _confirmations(story))
    _section("Headers", ["header", "value"], [[name, value] for name, value in story.letter.headers.items()])
    _section("Message", ["property", "value"], _envelope(story))
    console().print(cell(_readable(story.letter.message.body)))


def _at_risk(story: LetterStory) -> str:
    units = story.at_broker.units_at_risk
    if units is None:
        return "not known here"
    if not units:
        return "nothing"
    up_to = "" if story.trade and story.trade.execution.is_settled and story.trade.execution.deals else "up to "
    return f"{up_to}{words(units)} units of {story.letter.line.symbol or 'an unknown symbol'}"


def _about(line: LetterLine) -> dict[str, object]:
    state = line.state if line.state_by is None else f"{line.state} by {line.state_by}: {line.state_reason or '-'}"
    return {
        "dead letter": line.id,
        "reason": line.reason,
        "detail": line.detail,
        "state": state,
        "account, symbol": f"{line.account or '-'}, {line.symbol or '-'}",
        "trade": line.trade_id,
        "failed": line.failed_at,
        "taken in": f"{words(line.taken_in_at)} from {line.source_queue}",
        "imported by": line.imported_by,
        "group": line.fingerprint,
    }


def _trade(story: LetterStory) -> dict[str, object]:
    if story.trade is None:
        return {}
    execution = story.trade.execution
    return {"execution": f"{execution.execution_id}\n{_order(execution)}"}


def _order(execution: Execution) -> str:
    decision = execution.trade.decision
    state = execution.state if execution.reason is None else f"{execution.state}, {execution.reason}"
    return f"{_SIDES[decision.direction]} {words(decision.units)} {decision.symbol}: {state}"


def _failures(story: LetterStory) -> Sequence[Sequence[object]]:
    return [
        [line.failed_at, f"{line.reason}\n{line.state}", f"{line.id}{_place(line, story)}"] for line in story.failures
    ]


def _place(line: LetterLine, story: LetterStory) -> str:
    this = story.letter.line
    if line.id == this.id:
        return "\nthis one"
    if line.id == this.follows:
        return "\nits replay failed with this one"
    return "\nthis one's replay failed with it" if line.follows == this.id else ""


def _replay(replay: ReplayLine) -> Sequence[object]:
    came_to = "not taken yet" if replay.consumed_as is None else f"{replay.consumed_as}\n{words(replay.consumed_at)}"
    return [replay.created_at, f"{replay.by}\n{replay.reason}", came_to]


def _confirmations(story: LetterStory) -> Sequence[Sequence[object]]:
    return [[told.version, told.status, told.created_at, told.published_at] for told in story.confirmations]


def _envelope(story: LetterStory) -> Sequence[Sequence[object]]:
    told = asdict(story.letter.message)
    return [[name, value] for name, value in told.items() if name not in {"body", "headers"} and value is not None]


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], whole: Collection[str] = ()) -> None:
    if rows:
        console().print(f"\n{title}", style="bold")
        print_table(columns, rows, none="", whole=whole)


def _readable(body: bytes) -> str:
    text = _text(body)
    rest = f"\n... and {len(text) - _SHOWN_CHARACTERS} characters more" if len(text) > _SHOWN_CHARACTERS else ""
    return f"\n{text[:_SHOWN_CHARACTERS]}{rest}"


def _text(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "backslashreplace")
