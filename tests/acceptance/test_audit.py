"""An auditor asks whether the trail holds, while everybody writes to it; only copies outside the database show all."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk
from tests.fixtures.rpm import approval
from tests.fixtures.worker_process import Finished, run_command

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

TRADES = 40
HALTS = 4


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    """Set up a desk whose worker trades while operators in other processes halt and resume the account all the time."""
    with new_desk() as desk:
        operator = threading.Thread(target=_operate, args=(desk,))
        operator.start()
        sent = [desk.publish(approval("EURUSD", 1_000.0 * size)) for size in range(1, TRADES + 1)]
        for one in sent:
            desk.confirmation(one)
        operator.join()
        yield desk


def _operate(desk: Desk) -> None:
    for number in range(HALTS):
        assert desk.command("halt", "--reason", f"test {number}", "--by", "ann").code == 0
        assert desk.command("resume", "--reason", "again", "--by", "ann").code == 0


@pytest.fixture(scope="module")
def copies(desk: Desk) -> Path:
    """Write down what a subscriber has received."""
    file = desk.folder / "confirmations.jsonl"
    file.write_bytes(b"".join(told.body + b"\n" for told in desk.downstream.received))
    return file


def _verify(desk: Desk, *options: str) -> Finished:
    return desk.command("audit", "verify", *options)


def test_the_chain_holds_under_concurrent_writers(desk: Desk, copies: Path) -> None:
    done = _verify(desk)
    assert done.code == 0, done.said
    assert "account main: " in done.out
    assert "internally consistent\n" in done.out  # and no more

    [verdict] = _verify(desk, "--anchors", str(copies), "--json").json
    assert (verdict["account"], verdict["holds"], verdict["fault"]) == ("main", True, None)
    assert verdict["anchors"] == len(copies.read_text().splitlines()) >= TRADES
    assert "anchors of subscribers agree" in _verify(desk, "--anchors", str(copies)).out
    actors = {json.loads(line)["actor"] for line in desk.command("audit", "export").out.splitlines()}
    assert actors == {"worker", "ann"}


def test_copies_are_taken_from_standard_input_too(desk: Desk, copies: Path) -> None:
    done = desk.command("audit", "verify", "--anchors", "-", "--account", "main", given=copies.read_text())

    assert (done.code, done.err) == (0, "")


def test_events_are_exported_as_they_are_stored(desk: Desk) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    window = ("--from", "2001-01-01", "--to", soon)

    lines = desk.command("audit", "export", *window, "--format", "jsonl").out.splitlines()
    rows = list(csv.DictReader(io.StringIO(desk.command("audit", "export", *window, "--format", "csv").out)))

    events = [json.loads(line) for line in lines]
    stored = _stored(desk)
    assert events[: len(stored)] == stored
    assert [row["hash"] for row in rows][: len(stored)] == [event["hash"] for event in stored]
    assert rows[0].keys() == events[0].keys()
    assert all(json.loads(event["payload"]) is not None for event in events)
    assert desk.command("audit", "export", "--from", "2001-01-01", "--to", "2001-01-02").out == ""


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_file_is_verified_where_there_is_no_ledger(desk: Desk, copies: Path, form: str) -> None:
    # Given the trail in a file
    file = desk.folder / f"trail.{form}"
    assert desk.command("audit", "export", "--format", form, "--output", str(file)).code == 0

    # When it is verified by somebody who has nothing but it, its manifest and a subscriber's messages
    elsewhere = {"COLUMNS": "80"}
    words = ("audit", "verify", str(file), "--anchors", str(copies))
    done = run_command(*words, settings=elsewhere, folder=desk.folder)

    # Then it holds, and all anchors agree
    assert (done.code, done.err) == (0, "")
    assert f"{len(copies.read_text().splitlines())} anchors of subscribers agree" in " ".join(done.out.split())

    # And without an event of the middle it does not
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:50], *lines[51:]]))
    done = run_command(*words, settings=elsewhere, folder=desk.folder)
    assert (done.code, done.err) == (1, "")
    assert f"{file}, line 51: event" in done.out


def test_the_report_counts_what_subscribers_were_told(desk: Desk) -> None:
    told = desk.command("audit", "report", "--from", "1d", "--json").json

    bodies = [json.loads(one.body) for one in desk.downstream.received]
    latest = {body["execution_id"]: body for body in bodies}
    assert told["total"]["executions"] == len(latest) == TRADES
    filled = [body for body in latest.values() if body["status"] == "filled"]
    assert told["total"]["by_status"]["filled"] == len(filled)
    assert told["total"]["slippage"]["count"] == len(filled)
    assert told["total"]["executed_lots"] == pytest.approx(sum(body["executed_lots"] for body in filled))
    assert {one["reason"] for one in told["reasons"]} <= {"trading_halted"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("verify", "--anchors", "nowhere.jsonl"), 2),
        (("verify", "--account", "nobody"), 1),
        (("export", "--account", "nobody"), 1),
        (("export", "--format", "xml"), 2),
        (("export", "--from", "soon"), 2),
    ],
)
def test_what_makes_no_sense_is_told(desk: Desk, words: tuple[str, ...], code: int) -> None:
    done = desk.command("audit", *words)

    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err


def test_a_ledger_out_of_reach_is_told(desk: Desk) -> None:
    done = desk.command("audit", "verify", POSTGRES_URL="postgresql://me@127.0.0.1:9/x")

    assert done.code == 3
    assert "PostgreSQL does not answer" in done.err


def test_an_end_that_was_cut_off_with_its_head_shows_in_the_copies(new_desk: DeskMaker) -> None:
    with new_desk() as desk:
        # Given an owner of the database who takes the last events away and makes the account's row fit
        told = [desk.confirmed(approval("EURUSD", 1_000.0 * size)) for size in range(1, 4)]
        desk.worker.stop()
        last = told[-1]["audit"]["sequence"]
        with psycopg.connect(desk.settings["POSTGRES_URL"]) as owner:
            owner.execute("alter table ledger.audit_events disable trigger user")
            owner.execute("delete from ledger.audit_events where sequence >= %s", (last,))
            owner.execute(
                "update ledger.accounts a set audit_sequence = e.sequence, audit_hash = e.hash "
                "from (select * from ledger.audit_events order by sequence desc limit 1) e"
            )

        # Then the chain holds together, and a subscriber's copy tells what is gone
        assert _verify(desk).code == 0
        done = desk.command(
            "audit", "verify", "--anchors", "-", given=json.dumps([json.loads(one.body) for one in told])
        )
        assert (done.code, done.err) == (1, "")
        name = f"{told[-1]['execution_id']}:1"
        missing = f"events {last} to {last + 1} are missing: confirmation {name} was made with event {last + 1}"
        assert done.out == f"account main: {missing}\n"


def _stored(desk: Desk) -> list[dict[str, Any]]:
    with psycopg.connect(desk.settings["POSTGRES_URL"]) as connection:
        cursor = connection.execute("select to_jsonb(e) from ledger.audit_events e order by account, sequence")
        return [row[0] for row in cursor]
