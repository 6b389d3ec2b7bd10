"""Recovery: a standby goes on with everything that was open, in few questions; doing it again changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import rows, sql

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.fixtures.rpm import approval
from tests.fixtures.worker_process import WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

# Who leads, and until when was compared, changes with every recovery, and nothing else does.
_STANDING = (
    "lease_epoch",
    "lease_holder",
    "lease_counter",
    "lease_renewed_at",
    "worker_report",
    "compared_until",
)


@pytest.fixture
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(
        ORDER_TIMEOUT_SECONDS="600", MAX_IN_FLIGHT="5000", UNKNOWN_HORIZON_SECONDS="1", LOG_LEVEL="DEBUG"
    ) as desk:
        yield desk


@pytest.mark.parametrize(
    "count", [pytest.param(150), pytest.param(1000, marks=[pytest.mark.chaos, pytest.mark.timeout(300)])]
)
def test_a_standby_recovers_many_open_executions(desk: Desk, standby: WorkerProcess, count: int) -> None:
    # Given a leader with so many orders standing at the broker
    for size in range(1, count + 1):
        desk.publish(approval("EURUSD.pending", 1_000.0 * size))
    eventually(lambda: len(desk.book.rows("orders")) == count, "the orders do not reach the broker", seconds=120)
    eventually(lambda: _states(desk) == {"accepted": count}, "they are not all accepted", seconds=30)

    # When it dies
    desk.worker.kill()
    killed_at = time.monotonic()
    eventually(lambda: "worker_ready" in standby.log, "the standby does not recover", seconds=60)
    recovered_after = time.monotonic() - killed_at

    # Then the standby drives them all again and trades, having asked the terminal no more than for a few looks
    after = desk.publish(approval("GBPUSD", 10_000.0))
    assert desk.confirmation(after).outcome == ("filled", None)
    traded_after = time.monotonic() - killed_at
    calls = _terminal_calls_before(standby, "worker_ready")
    print(  # noqa: T201 - the figure that this test exists for
        f"\n{count} open executions: recovered {recovered_after:.1f} s, trading {traded_after:.1f} s after the kill, "
        f"with {calls} terminal calls"
    )
    assert calls <= 5
    assert _states(desk)["accepted"] == count
    assert len(desk.book.rows("orders")) == count + 1


def test_a_second_recovery_right_after_the_first_changes_nothing(desk: Desk) -> None:
    # Given trades of every open and every settled sort, and a worker that is killed among them
    kinds = ("EURUSD", "EURUSD.pending", "EURUSD.slow", "EURUSD.reject", "EURUSD.lostreply", "EURUSD.multi")
    sent = [desk.publish(approval(kind, 10_000.0 * size)) for size in range(1, 4) for kind in kinds]
    settled = [one for one in sent if not one.approved["symbol"].endswith(".pending")]
    desk.confirmation(sent[0])
    desk.worker.kill()
    desk.start()
    for one in settled:
        desk.confirmation(one, timeout=60)
    eventually(lambda: _tables(desk)["outbox"] == [], "the outbox does not run empty")

    # When it recovers once more, and once more
    first = _recovered_anew(desk)
    second = _recovered_anew(desk)

    # Then not a row has changed, and the audit chain has the same head
    assert second == first
    assert {desk.confirmation(one)["status"] for one in settled} <= {"filled", "rejected"}


def _recovered_anew(desk: Desk) -> dict[str, list[dict[str, Any]]]:
    desk.worker.kill()
    ready = desk.worker.log.count("worker_ready")
    desk.start()
    eventually(lambda: desk.worker.log.count("worker_ready") > ready, "the worker does not recover")
    looks = _looks(desk)
    eventually(lambda: _looks(desk) > looks + 3, "the worker does not look at the broker")
    renewals = _renewals(desk)  # what it saw there is stored with the next but one at the latest
    eventually(lambda: _renewals(desk) > renewals + 1, "the worker does not renew its lease")
    return _tables(desk)


def _looks(desk: Desk) -> int:
    return desk.worker.log.count("terminal_called")


def _renewals(desk: Desk) -> int:
    with psycopg.connect(desk.settings["POSTGRES_URL"]) as connection:
        row = connection.execute("select lease_counter from ledger.accounts").fetchone()
        assert row is not None
        return int(row[0])


def _states(desk: Desk) -> dict[str, int]:
    states: dict[str, int] = desk.listing("status")[0]["executions_by_state"]
    return states


def _terminal_calls_before(worker: WorkerProcess, event: str) -> int:
    names = [line["event"] for line in worker.events]
    return names[: names.index(event)].count("terminal_called")


def _tables(desk: Desk) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table of the ledger, but for what every recovery moves."""
    with psycopg.connect(desk.settings["POSTGRES_URL"], row_factory=rows.dict_row) as connection:
        names = connection.execute(
            "select table_name as name from information_schema.tables where table_schema = 'ledger' order by 1"
        ).fetchall()
        return {
            row["name"]: [
                {name: value for name, value in one.items() if name not in _STANDING}
                for one in connection.execute(
                    sql.SQL("select * from ledger.{} t order by t::text").format(sql.Identifier(row["name"]))
                ).fetchall()
            ]
            for row in names
        }
