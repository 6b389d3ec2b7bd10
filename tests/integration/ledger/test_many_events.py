"""A trail of any length is exported and verified in the same memory, and one changed bit in it is found."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.fixtures.chain import NOON
from tests.fixtures.worker_process import environment
from worker.ledger.audit import GENESIS, AuditRow, seal
from worker.ledger.encoding import as_row
from worker.ledger.schema import migrate
from worker.ports import Anchor, Event

pytestmark = pytest.mark.services

MOST_MEMORY = 150  # MiB: the program itself takes most of it
PAYLOADS: Mapping[str, Mapping[str, Any]] = {
    "received": {"trade_id": "RPM-1", "symbol": "EURUSD", "envelope": {}, "body": '{"decision": {}}' * 100},
    "submitting": {"attempt": 1, "request": {"action": 1, "symbol": "EURUSD", "volume": "0.10", "price": "1.10000"}},
    "answered": {"retcode": 10009, "reply": {"order": 7001, "deal": 9001, "comment": "done"}, "detail": "x" * 200},
    "deals": {"deals": [{"deal_id": "9001", "lots": "0.10", "price": "1.10010", "time": "2026-01-05T12:00:00+00:00"}]},
    "settled": {"status": "filled", "version": 1, "executed_lots": "0.10", "requested_lots": "0.10"},
    "confirmed": {"version": 1, "status": "filled", "sha256": "0" * 64},
}

# A process's peak counts what it shared with the one that started it: a small one starts it, not this large one.
MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stderr=subprocess.STDOUT).returncode
print(end=f"\\n{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}")
sys.exit(code)
"""


@pytest.mark.parametrize(
    "events",
    [5_000, pytest.param(1_000_000, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)])],
)
def test_the_export_of_a_long_trail(postgres_url: str, tmp_path: Path, events: int) -> None:
    # Given a ledger with so many events
    asyncio.run(migrate(postgres_url))
    head = _load(postgres_url, events)

    # When all of it is exported
    file = tmp_path / "all.jsonl"
    try:
        _run(tmp_path, "export", "--output", str(file), POSTGRES_URL=postgres_url)

        # Then it is verified without the ledger
        said = _run(tmp_path, "verify", str(file))
        assert f"{events} events, internally consistent" in " ".join(said.split())
        assert f'"head_hash": "{head.hash}"' in Path(f"{file}.manifest.json").read_text()

        # And the event in which one bit is changed is named
        sequence = events * 3 // 4
        _flip(file, sequence)
        said = _run(tmp_path, "verify", str(file), code=1)
        assert f"{file}, line {sequence}: event {sequence} was changed" in said
    finally:
        file.unlink(missing_ok=True)  # a gigabyte


def _load(url: str, events: int) -> Anchor:
    """Fill the trail as a worker would have, but all at once; return its head."""
    head = GENESIS
    with psycopg.connect(url) as connection:
        with connection.cursor().copy("copy ledger.audit_events from stdin") as copy:
            for row in _events(events):
                copy.write_row(list(as_row(row).values()))
                head = row.anchor
        connection.execute("insert into ledger.accounts (account) values ('main')")
        values = (head.sequence, head.hash)
        connection.execute("update ledger.accounts set audit_sequence = %s, audit_hash = %s", values)
    return head


def _events(number: int) -> Iterator[AuditRow]:
    head, kinds = GENESIS, list(PAYLOADS.items())
    for place in range(number):
        kind, payload = kinds[place % len(kinds)]
        event = Event(kind, payload, UUID(int=place // len(kinds)))
        row = seal("main", head, event, NOON + timedelta(milliseconds=place))
        yield row
        head = row.anchor


def _run(folder: Path, *words: str, code: int = 0, **settings: str) -> str:
    """Run `mt5-worker audit` in a process of its own, hold it to its memory, and return what it says."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, sys.executable, "-m", "worker", "audit", *words],
        env=environment({"MT5_BACKEND": "simulated", **settings}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    said, _, kibibytes = done.stdout.rpartition("\n")
    memory = int(kibibytes) / 1024
    sys.stdout.write(f"audit {words[0]}: {memory:.0f} MiB at most, {time.monotonic() - began:.1f} s\n")
    assert done.returncode == code, said
    assert memory < MOST_MEMORY
    return said


def _flip(file: Path, line: int) -> None:
    with file.open("r+b") as stream:
        for _ in range(line - 1):
            stream.readline()
        place = stream.tell() + len('{"account": "m')
        stream.seek(place)
        byte = stream.read(1)
        stream.seek(place)
        stream.write(bytes([byte[0] ^ 1]))
