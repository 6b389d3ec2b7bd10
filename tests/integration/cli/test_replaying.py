"""An operator replays dead letters: sees first what would become of each, may stop, and goes on."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from signal import SIGINT
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from ops.services import Services
from tests.fixtures.rpm import JsonObject, approval, changed
from tests.fixtures.services import new_ledger
from tests.fixtures.worker_process import environment
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.stories import (
    RealClock,
    a_letter,
    a_message,
    rejected,
    unknown,
    unresolved,
    written_ahead,
)
from worker.domain.execution import Execution
from worker.domain.message import IncomingMessage
from worker.ledger.ledger import PostgresLedger
from worker.ledger.schema import migrate
from worker.pipeline.intake import read_trade
from worker.ports import Arrival

pytestmark = pytest.mark.services

MIXED = ("--failure", "internal_error")
MIXED_TOO = ("--failure", "expired")
MANY = ("--failure", "delivery_limit")
FATES = {
    "RPM-new": "will_trade",
    "RPM-done": "will_confirm",
    "RPM-stale": "stale",
    "RPM-doubted": "unresolved",
    "RPM-changed": "in_conflict",
    None: "will_be_refused",
}
POSSIBLE = {"will_trade", "will_confirm", "in_conflict", "will_be_refused"}


@pytest.fixture(scope="module")
def seat(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Sit down before a ledger with dead letters of every kind, and six that are all alike; no worker runs."""
    name = f"replaying_{secrets.token_hex(5)}"
    postgres_url = new_ledger(services, name)
    asyncio.run(_fill(postgres_url))
    settings = {"POSTGRES_URL": postgres_url, "MAX_TRADE_AGE_SECONDS": "3600", "COLUMNS": "80"}
    yield Desk(settings, str(tmp_path_factory.mktemp("seat")))
    services.drop_database(name)


@pytest.fixture(scope="module")
def letters(seat: Desk) -> dict[str | None, str]:
    """Find the mixed ones by their trades."""
    planned = seat.say("dlq", "replay", *MIXED, "--dry-run", "--json").json
    return {one["trade_id"]: one["id"] for one in planned}


class TestDryRun:
    def test_it_tells_what_would_become_of_each_and_changes_nothing(self, seat: Desk) -> None:
        before = _everything(seat)

        done = seat.say("dlq", "replay", *MIXED, "--dry-run", "--json")

        assert done.code == 0
        assert _by_trade(done.json, "prospect") == FATES
        assert _everything(seat) == before

    def test_a_person_sees_it_in_80_columns_what_trades_first(self, seat: Desk, letters: dict[str | None, str]) -> None:
        out = seat.say("dlq", "replay", *letters.values(), "--dry-run").out

        assert max(map(len, out.splitlines())) <= 80
        assert letters["RPM-done"] in out
        assert "6 dead letters: " in out
        assert "--allow-stale tries it" in " ".join(out.split())

    def test_nothing_that_fits_is_said(self, seat: Desk) -> None:
        choice = ("--symbol", "NOTHING", "--dry-run")

        assert seat.say("dlq", "replay", *choice).out == "no dead letter fits\n"
        assert seat.say("dlq", "replay", *choice, "--json").json == []


def test_a_reason_is_needed_and_a_choice(seat: Desk) -> None:
    assert "--reason" in seat.say("dlq", "replay", *MIXED, "--yes").err
    assert seat.say("dlq", "replay", *MIXED, "--yes", "--reason", " ").code == 2
    assert seat.say("dlq", "replay", "--yes", "--reason", "all of them").code == 2


def test_a_bulk_replay_asks_first(seat: Desk) -> None:
    before = _everything(seat)

    done = seat.say("dlq", "replay", *MIXED, "--reason", "fixed", given="n\n")

    assert done.code == 1
    assert "1 will trade" in done.err
    assert "RPM-doubted" in done.out
    assert _everything(seat) == before


def test_what_is_refused_does_not_stop_the_rest_and_the_same_again_finds_only_what_is_left(seat: Desk) -> None:
    choice = ("dlq", "replay", *MIXED_TOO, "--reason", "fixed", "--by", "ann", "--rate", "1000", "--json")

    done = seat.say(*choice, "--yes", "--wait", "0")

    assert done.code == 1
    assert _by_trade(done.json, "prospect") == FATES
    went = [one for one in done.json if one["replay_id"]]
    assert {one["prospect"] for one in went} == POSSIBLE
    assert {one["state"] for one in went} == {"replaying"}
    assert all(one["refusal"] for one in done.json if not one["replay_id"])
    assert "resolve it first" in done.err
    left = _by_trade(seat.say(*choice, "--dry-run").json, "prospect")
    assert left == {"RPM-stale": "stale", "RPM-doubted": "unresolved"}


def test_ctrl_c_stops_between_two_letters_and_the_same_again_goes_on(seat: Desk) -> None:
    choice = ("dlq", "replay", *MANY, "--reason", "the queue is fine", "--yes")
    slowly = subprocess.Popen(
        [sys.executable, "-m", "worker", *choice, "--rate", "1"],
        env=environment(seat.settings),
        cwd=seat.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (went := _replays_of(seat, "delivery_limit")):
        assert slowly.poll() is None, slowly.communicate()
        time.sleep(0.05)  # another process commits: nothing tells
    slowly.send_signal(SIGINT)

    out, err = slowly.communicate(timeout=30)
    assert slowly.returncode == 130
    assert len(went) < 6
    assert f"stopped: {len(went)} dead letter" in err
    assert f"{6 - len(went)} are left; the same command goes on with them" in err
    assert "Traceback" not in out + err

    done = seat.say(*choice, "--rate", "1000")

    assert done.code == 0
    replays = _replays_of(seat, "delivery_limit")
    assert len(replays) == len({row["letter_id"] for row in replays}) == 6


def _by_trade(listed: list[dict[str, Any]], field: str) -> dict[str | None, Any]:
    return {one["trade_id"]: one[field] for one in listed}


def _replays_of(seat: Desk, reason: str) -> list[Any]:
    query = "select r.letter_id from ledger.replays r join ledger.dead_letters d using (letter_id) where d.reason = %s"
    with psycopg.connect(seat.settings["POSTGRES_URL"], row_factory=dict_row) as database:
        return database.execute(query, [reason]).fetchall()


def _everything(seat: Desk) -> list[Any]:
    tables = ("dead_letters", "replays", "outbox", "executions", "audit_events", "accounts")
    with psycopg.connect(seat.settings["POSTGRES_URL"]) as database:
        return [
            database.execute(f"select to_jsonb(t) from ledger.{name} t order by 1".encode()).fetchall()  # noqa: S608 - tables of ours
            for name in tables
        ]


async def _fill(postgres_url: str) -> None:
    await migrate(postgres_url)
    ledger = await PostgresLedger.open(postgres_url, account="main", worker_id="desk:1", clock=RealClock())
    try:
        await ledger.lead()
        done, doubted = _named("RPM-done"), _named("RPM-doubted")
        await ledger.record(rejected(await _admitted(ledger, done)))
        await _doubt(ledger, await _admitted(ledger, doubted))
        first = _named("RPM-changed")
        await ledger.record(rejected(await _admitted(ledger, first)))
        other = changed(first, "decision.approved_trade.position_units", 20_000.0)
        mixed = [_named("RPM-new"), done, _named("RPM-stale", age=7200), doubted, other]
        for reason in ("internal_error", "expired"):
            for body in mixed:
                await _give_up(ledger, json.dumps(body).encode(), reason)
            await _give_up(ledger, b"{", reason)
        for number in range(6):
            await _give_up(ledger, json.dumps(_named(f"RPM-{number}")).encode(), "delivery_limit")
    finally:
        await ledger.close()


def _named(order_id: str, age: float = 0) -> JsonObject:
    return approval(order_id=order_id, age=age)


async def _admitted(ledger: PostgresLedger, body: JsonObject) -> Execution:
    message = a_message(body=json.dumps(body).encode())
    now = datetime.now(UTC)
    return (await ledger.admit(Arrival(uuid4(), "main", message, read_trade(message, "main", now), now))).execution


async def _doubt(ledger: PostgresLedger, execution: Execution) -> None:
    for step in (written_ahead, unknown, unresolved):
        execution = await ledger.record(step(execution))


async def _give_up(ledger: PostgresLedger, body: bytes, reason: str) -> None:
    message: IncomingMessage = a_message(body=body)
    await ledger.take_in(replace(a_letter(message), reason=reason), None)
