"""Every command that a runbook quotes is run on a desk in the state that its page is about."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ops.services import Services
from ops.services.places import free_port
from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.acceptance.runbook import Operator, listed, typed
from tests.fixtures.client_programs import need_client_programs
from tests.fixtures.rpm import approval
from tests.fixtures.runbooks import blocks, commands, pages
from tests.fixtures.subscriber import Confirmation
from worker.settings import LEASE_SECONDS

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

NOBODY = "127.0.0.1:9"  # a port on which nobody answers
AMQP_AWAY = {"AMQP_URL": f"amqp://me:secret@{NOBODY}/%2F"}
POSTGRES_AWAY = {"POSTGRES_URL": f"postgresql://me:secret@{NOBODY}/ledger"}
TOLD_ELSEWHERE = {  # after the restore of a real, older backup: test_restored_backup.py
    ("postgresql-down.md", "Restore the newest backup"),
    ("postgresql-down.md", "It is over when"),
    ("orphans.md", "First two minutes"),
    ("orphans.md", "Then, in this order"),
}


@pytest.fixture(scope="module")
def desk(services: Services, new_desk: DeskMaker) -> Iterator[Desk]:
    """Open a desk on which one trade was filled; what cannot be proved is unresolved soon."""
    need_client_programs(services.postgres_url)
    quick = {"TERMINAL_CALL_TIMEOUT_SECONDS": "2", "UNKNOWN_HORIZON_SECONDS": "2", "MAX_RETRIES": "2"}
    with new_desk(**quick, HTTP_PORT=str(free_port())) as desk:
        desk.confirmed(approval("EURUSD", 1_000.0))
        _wait_for_the_doctor(desk)
        yield desk


@pytest.fixture
def operator(desk: Desk, services: Services) -> Iterator[Operator]:
    spare = f"restored_{secrets.token_hex(4)}"
    (desk.folder / "confirmations.jsonl").write_bytes(b"\n".join(one.body for one in desk.downstream.received))
    yield Operator(desk, _values(desk), spare)
    services.drop_database(spare)


def _values(desk: Desk) -> Mapping[str, Callable[[], str]]:
    return {
        "EXECUTION_ID": lambda: _open_question(desk),
        "DEAD_LETTER_ID": lambda: str(listed(desk, "dlq", "list", "--state", "new")[0]["id"]),
        "GROUP": lambda: str(listed(desk, "dlq", "groups")[0]["fingerprint"]),
        "TICKET": lambda: _ticket(desk),
        "SYMBOL": lambda: "EURUSD",
        "FROM": lambda: _hours_from_now(-1),
        "TO": lambda: _hours_from_now(+1),
        "BACKUP": lambda: str(max((desk.folder / "backups").glob("*.dump")).relative_to(desk.folder)),
        "HTTP_PORT": lambda: desk.settings["HTTP_PORT"],
    }


def _hours_from_now(hours: int) -> str:
    return f"{datetime.now(UTC) + timedelta(hours=hours):%Y-%m-%dT%H:%M}"


def _open_question(desk: Desk) -> str:
    """Name the first unresolved trade, else any."""
    first, *_ = [*listed(desk, "executions", "list", "--status", "unresolved"), *listed(desk, "executions", "list")]
    return str(first["execution_id"])


def _ticket(desk: Desk) -> str:
    """Look into the broker's book for the deal of that trade, as the broker's desk would."""
    shown = json.loads(typed(desk, ["mt5-worker", "executions", "show", _open_question(desk), "--json"]).out)
    magics = {str(attempt["magic"]) for attempt in shown["attempts"]}
    [traded] = [one for one in desk.book.traded() if str(one.order["magic"]) in magics]
    return str(traded.deals[0]["ticket"])


def _start(desk: Desk) -> None:
    """Start the worker, and wait until its last report says, too, that all is well."""
    desk.start()
    _wait_for_the_doctor(desk)


def _wait_for_the_doctor(desk: Desk) -> None:
    eventually(lambda: typed(desk, ["mt5-worker", "doctor"]).code == 0, "the doctor is not content", 30)


def _wait_for_the_end_of_its_lease(desk: Desk) -> None:
    with psycopg.connect(desk.settings["POSTGRES_URL"]) as database:
        left = (
            "select pg_sleep(greatest(%s + 1 - extract(epoch from now() - lease_renewed_at), 0)) from ledger.accounts"
        )
        database.execute(left, (LEASE_SECONDS,))


def _taken_in(desk: Desk, *refused: Confirmation) -> None:
    """Wait until the desk has the dead letters of these."""
    wanted = {one["execution_id"] for one in refused}
    eventually(
        lambda: wanted <= {one["execution_id"] for one in listed(desk, "dlq", "list")}, "a dead letter is not taken in"
    )


def test_dead_letters(desk: Desk, operator: Operator) -> None:
    # Given a trade whose sends were all refused, and two messages that are no trades
    failed = desk.confirmed(approval("USDJPY.requote", 10_000.0))
    assert failed.outcome == ("error", "network_error")
    broken = [desk.confirmed(b"{", correlation_id=f"broken-{secrets.token_hex(4)}") for _ in range(2)]
    _taken_in(desk, failed, *broken)

    operator.follow("dead-letters.md")


def test_an_unresolved_trade(desk: Desk, operator: Operator) -> None:
    # Given two trades that were executed and are never shown
    sent = [desk.publish(approval("EURUSD.nohistory", units)) for units in (10_000.0, 11_000.0)]
    for one in sent:
        assert desk.confirmation(one, timeout=60).outcome == ("unresolved", "outcome_unknown")

    # When one is resolved as executed, and the other (which the operator is wrong about) as not
    operator.follow("unresolved.md")

    # Then nobody waits for an answer any more
    assert {desk.confirmation(one, version=2)["status"] for one in sent} == {"filled", "error"}
    assert listed(desk, "executions", "list", "--status", "unresolved") == []


def test_a_halt(desk: Desk, operator: Operator) -> None:
    operator.follow("halted.md")

    assert desk.confirmed(approval("EURUSD", 1_000.0)).outcome == ("filled", None)


def test_a_worker_that_was_killed(desk: Desk, operator: Operator) -> None:
    desk.worker.kill()
    try:
        _wait_for_the_end_of_its_lease(desk)
        status, _ = operator.follow("worker-down.md", "First two minutes")
        operator.follow("worker-down.md", "Decide")
    finally:
        _start(desk)

    operator.follow("worker-down.md", "It is over when")
    assert "is silent" in status.said


def test_rabbitmq_out_of_reach(operator: Operator) -> None:
    status, _ = operator.follow("rabbitmq-down.md", "First two minutes", **AMQP_AWAY)
    operator.follow("rabbitmq-down.md", "Decide", **AMQP_AWAY)

    assert "RabbitMQ does not answer" in status.said


def test_postgresql_out_of_reach(operator: Operator) -> None:
    for did in operator.follow("postgresql-down.md", "First two minutes", **POSTGRES_AWAY):
        assert f"PostgreSQL does not answer ({NOBODY}" in did.said


def test_a_failover(desk: Desk, operator: Operator) -> None:
    # Given a worker that finds the database on another timeline than before
    desk.worker.stop()
    with psycopg.connect(desk.settings["POSTGRES_URL"]) as database:
        database.execute("update ledger.accounts set timeline = '000000FF'")
    _start(desk)

    status, *_ = operator.follow("postgresql-down.md", "It is another copy now: compare, then resume")

    assert "another copy" in status.said
    assert desk.confirmed(approval("EURUSD", 1_000.0)).outcome == ("filled", None)


def test_a_terminal_that_refuses(desk: Desk, operator: Operator) -> None:
    desk.confirmed(approval("EURUSD.closed", 1_000.0))

    operator.follow("terminal.md")


def test_a_clock_that_is_ahead(desk: Desk, operator: Operator) -> None:
    # Given a trade that was approved in the future
    refused = desk.confirmed(approval("EURUSD", 1_000.0, age=-60))
    assert refused.outcome == ("rejected", "schema_invalid")
    _taken_in(desk, refused)

    operator.follow("clock.md")

    assert listed(desk, "dlq", "list", "--state", "new", "--text", "future") == []


def test_the_end_of_the_day(operator: Operator) -> None:
    operator.follow("end-of-day.md")


def test_a_backup(operator: Operator) -> None:
    operator.follow("backup.md")


def test_no_command_of_any_page_is_left_out() -> None:
    told = (Path(__file__).read_text("utf-8")).split("def test_no_command_of")[0]
    for page in pages():
        for block in blocks(page):
            if any(commands(block)) and (page, block.section) not in TOLD_ELSEWHERE:
                whole = f'follow("{page}")' in told
                assert whole or f'follow("{page}", "{block.section}"' in told, (page, block.section)
