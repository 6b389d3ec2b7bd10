"""Halting an account: from the commit on, nothing new is written ahead of a send."""

from __future__ import annotations

from dataclasses import replace

from worker.ledger.page import Page
from worker.ledger.view import AccountRow
from worker.ports import Event

WORKER = "worker"


def halt_account(page: Page, account: AccountRow, *, reason: str, by: str) -> AccountRow:
    """Put a halt on the page; returns the account as it stands then. An earlier halt's reason goes into the trail."""
    page.append(Event("halted", {"reason": reason, "halted_before": account.halt}, actor=by))
    page.put("halt_accounts", account=page.account, halt_reason=reason, halted_by=by, halted_at=page.clock.now())
    return replace(account, halted=True, halt_reason=reason, halted_by=by)


def halt_by_worker(page: Page, account: AccountRow, reason: str) -> AccountRow:
    """Halt the account for what the worker has found; whoever lifts it is still told of a halt that stood before."""
    whole = f"{reason} (before that {account.halt})" if account.halted else reason
    return halt_account(page, account, reason=whole, by=WORKER)
