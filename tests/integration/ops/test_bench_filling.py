"""A ledger that is filled for the benchmark is one that a worker might have written: it goes on with it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from ops.bench.desk import open_desk
from ops.bench.filling import SPREAD, fill
from ops.services import Services

pytestmark = [pytest.mark.chaos, pytest.mark.services]


def test_a_filled_ledger_verifies_and_a_worker_goes_on_trading_with_it(services: Services, tmp_path: Path) -> None:
    with open_desk(services, tmp_path) as desk:
        # Given twenty trades that a worker has carried out
        desk.start_worker()
        desk.publish(20)
        desk.until_confirmed(20)
        desk.stop_worker()

        # when its ledger is filled with copies of them
        held = fill(desk.database_url, 2_000)

        # then each copy has all that belongs to a trade, the chain is whole,
        assert held == 2_000
        with psycopg.connect(desk.database_url) as connection:
            for table, rows in {
                "executions": 1,
                "attempts": 1,
                "deals": 1,
                "confirmations": 1,
                "audit_events": 5,
            }.items():
                count = (
                    f"select count(distinct execution_id), count(*) from ledger.{table} where execution_id is not null"  # noqa: S608 - constants
                )
                assert connection.execute(count.encode()).fetchone() == (2_000, rows * 2_000), table
            written = connection.execute(
                "select execution_id, received_at from ledger.executions order by ctid"
            ).fetchall()
        assert "internally consistent" in desk.command("audit", "verify")

        # all of it lies as it came, under ids that tell the time,
        moments = [received_at for _, received_at in written]
        assert moments == sorted(moments)
        assert moments[-1] - moments[0] > SPREAD
        for execution_id, received_at in written:
            assert abs((execution_id.int >> 80) - received_at.timestamp() * 1000) < 2

        # and the worker finds nothing amiss with it.
        desk.start_worker()
        desk.publish(5)
        desk.until_confirmed(25)
        assert "alert" not in desk.log.read_text()
