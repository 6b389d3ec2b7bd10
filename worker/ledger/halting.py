"""Halting and resuming: from the commit of a halt on, nothing it stands for is written ahead of a send."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from worker.domain.halts import Halt, Halts
from worker.ledger.halts import halts_row
from worker.ledger.page import Page
from worker.ledger.view import AccountRow
from worker.ports import Event

WORKER = "worker"


def halt_by_worker(page: Page, account: AccountRow, reason: str) -> AccountRow:
    """
    Halt the account for what the worker has found; returns it as it stands then.

    Whoever lifts it is still told of a halt that stood before.
    """
    whole = reason if account.halt is None else f"{reason} (before that {account.halt})"
    halt = Halt(whole, WORKER, page.clock.now())
    page.append(event("halted", halt, halted_before=account.halt))
    return replace(account, halts=write(page, account.halts.put(halt)))


def write(page: Page, halts: Halts) -> Halts:
    """Put on the page that these are all halts of the account from now on; returns them."""
    page.put("write_halts", account=page.account, **halts_row(halts))
    return halts


def event(kind: str, halt: Halt, **more: Any) -> Event:
    """Return what the audit trail tells of a halt; the actor is who has put it."""
    return Event(kind, {"reason": halt.reason, "symbol": halt.symbol, "hold": halt.hold, **more}, actor=halt.by)
