"""A worker that stands still in the middle of a commit: `python -m tests.integration.ledger.frozen URL STATEMENT`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from tests.integration.ledger.stories import RealClock, a_trade, an_arrival
from worker.domain.errors import LeaseLost
from worker.ledger import page, view
from worker.ledger.ledger import PostgresLedger
from worker.ledger.statements import sql


async def _admit_one(url: str, statement: str) -> None:
    ledger = await PostgresLedger.open(url, account="main", worker_id="frozen:1", clock=RealClock())
    await ledger.lead()

    def stopping(name: str) -> bytes:
        if name == statement:
            os.write(sys.stdout.fileno(), b"frozen\n")
            os.kill(os.getpid(), signal.SIGSTOP)
        return sql(name)

    view.sql = page.sql = stopping  # type: ignore[attr-defined]  # of these two modules alone
    try:
        await ledger.admit(an_arrival(a_trade("FROZEN")))
    except LeaseLost:
        os.write(sys.stdout.fileno(), b"fenced out\n")
    await ledger.close(drain=False)


if __name__ == "__main__":
    asyncio.run(_admit_one(*sys.argv[1:]))
