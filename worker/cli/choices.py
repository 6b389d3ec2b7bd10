"""The options that several commands share, and how their values are read."""

from __future__ import annotations

import getpass
import re
import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import typer

from worker.domain.attestation import AttestedDeal

_DEAL = re.compile(r"(?P<ticket>[0-9]{1,19})(:(?P<lots>[0-9]+(\.[0-9]+)?)@(?P<price>[0-9]+(\.[0-9]+)?))?")
_TICKETS = 2**63

_AGE = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # seconds
_OLDEST = 36_500 * 86_400  # older than any ledger, and still a date that Python and PostgreSQL can count back to


def examples(*lines: str) -> str:
    """Return the end of a command's help: how it is really typed, one line each."""
    return "\n\n".join(["Examples:", *(f"$ {line}" for line in lines)])


def whoami() -> str:
    """Return the operating system's user and host."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def read_moment(text: str) -> datetime:
    """Read an ISO 8601 time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no ISO 8601 time such as 2026-03-02T09:30 (UTC)") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def read_age(text: str) -> timedelta:
    """Read a whole number of seconds, minutes, hours, days or weeks such as 15m, 2h, 3d; at most 36500d."""
    found = _AGE.fullmatch(text.strip().lower())
    seconds = None if found is None else int(found["count"]) * _UNITS[found["unit"]]
    if seconds is None or seconds > _OLDEST:
        raise typer.BadParameter(f"{text!r} is no age such as 90s, 15m, 2h, 3d or 1w")
    return timedelta(seconds=seconds)


def read_since(text: str) -> datetime:
    """Read a moment in UTC: an ISO 8601 time, or how long ago it was, as `read_age` reads it."""
    if _AGE.fullmatch(text.strip().lower()):
        return datetime.now(UTC) - read_age(text)
    try:
        return read_moment(text)
    except typer.BadParameter:
        raise typer.BadParameter(
            f"{text!r} is neither an age such as 15m, 2h or 3d nor an ISO 8601 time such as 2026-03-02T09:30 (UTC)"
        ) from None


def read_deal(text: str) -> AttestedDeal:
    """Read TICKET or TICKET:LOTS@PRICE."""
    found = _DEAL.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no deal such as 50012, or 50012:0.10@1.08425 with lots and price")
    lots, price = (None if value is None else Decimal(value) for value in found.group("lots", "price"))
    deal = AttestedDeal(int(found["ticket"]), lots, price)
    if not 0 < deal.ticket < _TICKETS or 0 in {deal.lots, deal.price}:
        raise typer.BadParameter(f"{text!r}: a deal's ticket, lots and price are above zero")
    return deal


def _said(reason: str) -> str:
    if not reason.strip():
        raise typer.BadParameter("say why: it is written into the audit trail")
    return reason.strip()


MOST_ROWS = 100_000
_ROWS_FOR_PEOPLE = 50


def rows(limit: int | None, *, as_json: bool) -> int:
    """Return how many rows to list: a program that asked for JSON must not miss one silently."""
    return limit or (MOST_ROWS if as_json else _ROWS_FOR_PEOPLE)


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
By = Annotated[
    str,
    typer.Option("--by", default_factory=whoami, show_default="user@host", help="Who does it, for the audit trail."),
]
Reason = Annotated[str, typer.Option("--reason", callback=_said, help="Why, for the audit trail.")]
# Scripts may pass --yes to every change, also to those that do not ask.
AlreadyAsked = Annotated[bool, typer.Option("--yes", hidden=True)]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        parser=read_since,
        metavar="TIME|AGE",
        show_default="the beginning",
        help="From this moment on: ISO 8601 (UTC), or how long ago: 15m, 2h, 3d.",
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option(
        "--until",
        parser=read_since,
        metavar="TIME|AGE",
        show_default="now",
        help="The first moment that is too late; written like --since.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=1,
        max=MOST_ROWS,
        show_default="50, or all with --json",
        help="At most so many, the newest first.",
    ),
]
