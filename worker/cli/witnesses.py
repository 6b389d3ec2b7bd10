"""Subscribers' copies of confirmations, read for the anchors in them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO

import typer

from worker.ledger.audit import Witness
from worker.ports import Anchor

Witnesses = Mapping[str, list[Witness]]  # by account


def read_witnesses(name: str) -> Witnesses:
    """
    Read a file of confirmations, `-` for standard input: a JSON array, or one confirmation a line.

    Those without an anchor are passed over: they were made for an account that has no chain. Anything else is wrong
    usage: a copy that cannot be read must not pass for one that agrees.
    """
    found: dict[str, list[Witness]] = {}
    for where, told in _confirmations(name):
        try:
            account, anchor = _anchor(told)
        except (KeyError, TypeError, ValueError):
            raise typer.BadParameter(
                f"{name}: {where} is no confirmation with `account` and `audit` {{`sequence`, `hash`}}"
            ) from None
        if anchor is not None:
            message_id = f"{told.get('execution_id', '?')}:{told.get('version', '?')}"
            found.setdefault(account, []).append(Witness(anchor, message_id))
    return found


def _confirmations(name: str) -> Iterator[tuple[str, Any]]:
    try:
        with nullcontext(sys.stdin) if name == "-" else Path(name).open(encoding="utf-8") as stream:
            yield from _read(stream)
    except (OSError, UnicodeError) as error:
        raise typer.BadParameter(f"{name} cannot be read: {error}") from None


def _read(stream: TextIO) -> Iterator[tuple[str, Any]]:
    """Yield what stands on each line, so that a long file never is in memory; an array has to be."""
    lines = ((number, line) for number, line in enumerate(stream, 1) if line.strip())
    for place, (number, line) in enumerate(lines):
        if place == 0 and line.lstrip().startswith("["):
            yield from ((f"entry {entry}", told) for entry, told in enumerate(_parsed(line + stream.read(), "it"), 1))
            return
        yield f"line {number}", _parsed(line, f"line {number}")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise typer.BadParameter(f"{where} is no confirmation: it is nested too deeply") from None
    except ValueError as error:
        raise typer.BadParameter(f"{where} is no JSON: {error}") from None


def _anchor(told: Any) -> tuple[str, Anchor | None]:
    account, audit = told["account"], told["audit"]
    if not isinstance(account, str):
        raise TypeError(account)
    if audit is None:
        return account, None
    sequence, digest = audit["sequence"], audit["hash"]
    if type(sequence) is not int or not isinstance(digest, str):  # True is an int, too
        raise TypeError(audit)
    if sequence < 0:
        raise ValueError(sequence)  # no event has such a number: nothing would ever contradict it
    return account, Anchor(sequence, digest)
