"""The options that choose dead letters: the same ones for every command that looks at, or changes, many of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from schemas.dead_letter import DeadLetterReason
from worker.cli.choices import Since, Until
from worker.cli.dlq.letter import letter_uuid
from worker.ledger.desk import LetterFilter, LetterState

_FINGERPRINT = re.compile(r"[0-9a-f]{12}")


def _read_fingerprint(text: str) -> str:
    if not _FINGERPRINT.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no fingerprint of twelve hexadecimal digits, as `dlq groups` shows them")
    return text


_WHY = "Only those that failed for it, such as schema_invalid; repeatable."
_Reasons = Annotated[
    list[DeadLetterReason] | None,
    typer.Option("--reason", metavar="REASON", show_default="any", help=_WHY),
]
_Failures = Annotated[
    list[DeadLetterReason] | None,
    typer.Option("--failure", metavar="REASON", show_default="any", help=_WHY),
]
_States = Annotated[
    list[LetterState] | None,
    typer.Option(
        "--state", metavar="STATE", show_default="any", help=f"Only those {', '.join(LetterState)}; repeatable."
    ),
]
_Account = Annotated[str | None, typer.Option("--account", show_default="any", help="Only those of this account.")]
_Symbol = Annotated[str | None, typer.Option("--symbol", show_default="any", help="Only those of this symbol.")]
_Text = Annotated[
    str | None,
    typer.Option("--text", help="Only those with it in detail, trade id, exception or body; case does not matter."),
]
_Group = Annotated[
    str | None,
    typer.Option(
        "--group", metavar="FINGERPRINT", parser=_read_fingerprint, help="Only one group, as `dlq groups` names it."
    ),
]

_COMMON: dict[str, Any] = {
    "account": _Account,
    "symbol": _Symbol,
    "since": Since,
    "until": Until,
    "text": _Text,
    "group": _Group,
}
_OF_LISTINGS: dict[str, Any] = {"reasons": _Reasons, "states": _States, **_COMMON}
_OF_CHANGES: dict[str, Any] = {"reasons": _Failures, **_COMMON}

Command = Callable[..., None]


def for_listing(command: Command) -> Command:
    """Give a command the options of a filter; it takes what they say as its parameter `wanted`, a `LetterFilter`."""
    return _with_options(command, _OF_LISTINGS)


def for_change(command: Command) -> Command:
    """Do the same for a command whose `--reason` says why, and which decides itself about the states it changes."""
    return _with_options(command, _OF_CHANGES)


def chosen(ids: Sequence[str] | None, wanted: LetterFilter) -> Sequence[UUID]:
    """
    Return the letters that a change names, none when it is about a filter instead.

    Raises `typer.BadParameter` unless it is about the one or the other, and NotFound for what is no id.
    """
    if bool(ids) == (wanted != LetterFilter()):
        raise typer.BadParameter("name dead letters by their ids, or choose them with a filter such as --failure")
    return list(dict.fromkeys(map(letter_uuid, ids or ())))


def _with_options(command: Command, options: dict[str, Any]) -> Command:
    """Return the command as typer shall see it: with the filter's options where it has `wanted`."""
    own = inspect.signature(command, eval_str=True).parameters

    def run(**given: Any) -> None:
        told = {name: given.pop(name) for name in options}
        command(**given, wanted=_filter(**told))

    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in options.items()
    ]
    kept = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own.values() if one.name != "wanted"]
    setattr(run, "__signature__", inspect.Signature([*added, *kept]))  # noqa: B010 - mypy knows no such attribute
    run.__annotations__ = {one.name: one.annotation for one in (*added, *kept)}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _filter(
    *,
    reasons: list[DeadLetterReason] | None,
    account: str | None,
    symbol: str | None,
    since: datetime | None,
    until: datetime | None,
    text: str | None,
    group: str | None,
    states: list[LetterState] | None = None,
) -> LetterFilter:
    return LetterFilter(
        account=account,
        symbol=symbol,
        reasons=tuple(reasons or ()),
        states=tuple(states or ()),
        since=since,
        until=until,
        text=text,
        group=group,
    )
