"""Subscribers' copies of confirmations, read for the anchors in them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
    for where, told in _confirmations(_text(name)):
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


def _text(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise typer.BadParameter(f"{name} cannot be read: {error}") from None


def _confirmations(text: str) -> Iterator[tuple[str, Any]]:
    if text.lstrip().startswith("["):
        yield from ((f"entry {number}", told) for number, told in enumerate(_parsed(text, "it"), 1))
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield f"line {number}", _parsed(line, f"line {number}")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
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
    return account, Anchor(sequence, digest)
