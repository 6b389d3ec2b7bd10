"""`halt` and `resume`: whether an account, or a symbol of it, may trade."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from shlex import quote
from typing import Annotated

import typer

from worker.cli.choices import AlreadyAsked, By, Reason, examples
from worker.cli.exits import complain, finish
from worker.cli.parts import ledger, settings
from worker.cli.show import cell, words
from worker.domain.halts import Halt, Halts
from worker.ledger import operators
from worker.ledger.listing import symbols_of_late
from worker.settings import Settings

app = typer.Typer()


def _named(symbols: list[str] | None) -> list[str]:
    if any(not symbol.strip() for symbol in symbols or ()):
        raise typer.BadParameter("name a symbol")
    return list(dict.fromkeys(symbols or ()))


Symbols = Annotated[
    list[str] | None,
    typer.Option(
        "--symbol",
        callback=_named,
        metavar="NAME",
        help="Only this symbol: RPM's name, exactly as the approved trades have it. May be repeated.",
    ),
]
Hold = Annotated[
    bool,
    typer.Option(
        "--hold",
        help="Keep trades waiting instead of rejecting them, until `resume` or until their approval is too old.",
    ),
]


@app.command(
    epilog=examples(
        'mt5-worker halt --reason "unexpected fills"',
        'mt5-worker halt --symbol EURUSD --symbol EURJPY --hold --reason "ECB at 13:15"',
    )
)
def halt(by: By, reason: Reason, symbol: Symbols = None, hold: Hold = False, yes: AlreadyAsked = False) -> None:  # noqa: ARG001 - halting never asks
    """
    Stop sending: from now on new trades of the account, or of a symbol, are rejected as `trading_halted`, or wait.

    Orders that are at the broker already go on to their end. Returns when nothing that was begun before can be sent any
    more: at once as a rule, after ten seconds at most. The halt outlives the worker; `resume` ends it. A second halt
    takes the place of the first, so that a hold can be turned into a rejection and back.

    Trades on hold are open trades: when there are MAX_IN_FLIGHT of them, new ones of all symbols wait in RabbitMQ.
    """
    found, symbols = settings(), symbol or []
    unanswered = finish(_halt(found, symbols, reason, by, hold=hold))
    if symbols:
        _doubt(found, symbols, finish(_symbols_of_late(found)))
    if unanswered:
        sys.stdout.write(f"{unanswered} orders sent before have no answer yet: they are watched to their end\n")


@app.command(
    epilog=examples(
        'mt5-worker resume --reason "the feed is fine again"',
        'mt5-worker resume --symbol EURUSD --reason "the press conference is over"',
    )
)
def resume(by: By, reason: Reason, symbol: Symbols = None, yes: AlreadyAsked = False) -> None:  # noqa: ARG001 - resuming never asks
    """
    Let the account trade again, or a symbol that was halted by itself; every halt is lifted by itself.

    Trades that were kept waiting go on, in the order in which they came. Trades that were rejected are not sent.
    """
    found, symbols = settings(), symbol or []
    lifted, left = finish(_resume(found, symbols, reason, by))
    for name in _whose_halts(symbols):
        sys.stdout.write(f"{_whose(found, name)} {_said(name, lifted, left)}\n")
    for one in left:
        sys.stdout.write(f"{_whose(found, one.symbol)} stays halted, since {words(one.at)} UTC: {cell(one).plain}\n")


async def _halt(found: Settings, symbols: Sequence[str], reason: str, by: str, *, hold: bool) -> int:
    def tell() -> None:
        kept = "nothing new is sent, trades wait" if hold else "nothing new is sent"
        for name in _whose_halts(symbols):
            symbol = "" if name is None else f" --symbol {quote(cell(name).plain)}"
            sys.stdout.write(f"{_whose(found, name)} is halted: {kept}\n")
            sys.stdout.write(f"  until: mt5-worker resume{symbol} --reason WHY\n")

    async with ledger(found) as desk:
        return await operators.halt(
            desk, found.account, reason=reason, by=by, symbols=symbols, hold=hold, on_begun=tell
        )


async def _resume(found: Settings, symbols: Collection[str], reason: str, by: str) -> tuple[Sequence[Halt], Halts]:
    async with ledger(found) as desk:
        lifted = await operators.resume(desk, found.account, reason=reason, by=by, symbols=symbols)
        return lifted, await operators.halts(desk, found.account)


async def _symbols_of_late(found: Settings) -> Sequence[str]:
    async with ledger(found) as desk:
        return await symbols_of_late(desk, found.account)


def _doubt(found: Settings, symbols: Sequence[str], traded: Sequence[str]) -> None:
    """Say of what is halted, but was not traded lately, that it may be misspelt: then nothing at all is halted."""
    for symbol in set(symbols).difference(traded):
        meant = [name for name in traded if name.casefold() == symbol.strip().casefold()]
        hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
        complain(f"look at the name: no recent trade of account {found.account} is of {symbol}{hint}")


def _said(symbol: str | None, lifted: Sequence[Halt], left: Halts) -> str:
    if all(one.symbol != symbol for one in lifted):
        return "was not halted"
    return "is not halted by itself any more" if symbol is not None and left.of(symbol) else "trades again"


def _whose_halts(symbols: Sequence[str]) -> Sequence[str | None]:
    return symbols or [None]


def _whose(found: Settings, symbol: str | None) -> str:
    account = f"account {found.account}"
    return account if symbol is None else f"{cell(symbol).plain} of {account}"
