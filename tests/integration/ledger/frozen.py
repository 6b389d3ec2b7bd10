"""A worker that stands still in the middle of a commit: `python -m tests.integration.ledger.frozen URL MOMENT`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from tests.integration.ledger.stories import RealClock, a_trade, an_arrival
from worker.domain.errors import LeaseLost
from worker.ledger import batch
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.ledger.round_trip import Call, round_trip

BETWEEN, AMID = "between", "amid"  # two round trips; one of which a part has left


async def _admit_one(url: str, moment: str) -> None:
    ledger = await PostgresLedger.open(url, account="main", worker_id="frozen:1", clock=RealClock())
    await ledger.lead()

    async def stopping(connection: Connection, calls: Sequence[Call]) -> Any:
        if moment == AMID:
            connection.pgconn.enter_pipeline_mode()
            connection.pgconn.send_query_params(b"select", None)
            connection.pgconn.send_flush_request()
            connection.pgconn.flush()
        os.write(sys.stdout.fileno(), b"frozen\n")
        os.kill(os.getpid(), signal.SIGSTOP)
        return await round_trip(connection, calls)

    batch.round_trip = stopping  # type: ignore[attr-defined]  # the one that writes; it holds the account's row
    try:
        await ledger.admit(an_arrival(a_trade("FROZEN")))
    except LeaseLost:
        os.write(sys.stdout.fileno(), b"fenced out\n")
    await ledger.close(drain=False)


if __name__ == "__main__":
    asyncio.run(_admit_one(*sys.argv[1:]))
