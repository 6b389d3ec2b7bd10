"""The demo: the whole of it, and interrupted in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from ops.services import Services
from tests.fixtures.worker_process import environment
from worker.cli.app import app

pytestmark = pytest.mark.services


@pytest.fixture
def settings(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, str]]:
    """Lend the demo the services of this run; whatever else is set must not reach it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield {
        "TEST_AMQP_URL": services.amqp_url,
        "TEST_AMQP_MANAGEMENT_URL": services.rabbitmq.management_url or "",
        "TEST_POSTGRES_URL": services.postgres_url,
        "AMQP_URL": "amqp://production:5672/",
        "POSTGRES_URL": "postgresql://production/ledger",
        "MT5_BACKEND": "native",
        "ACCOUNT": "live",
        "TMPDIR": str(tmp_path),
    }
    assert list(tmp_path.iterdir()) == [], "it leaves no files"
    assert not _databases(services), "it leaves no database"


def _databases(services: Services) -> list[str]:
    with psycopg.connect(services.postgres_url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'demo%'").fetchall()
    return [name for (name,) in rows]


@pytest.fixture
def own_process_untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the demo's logging and signal handler out of the test process."""
    monkeypatch.setattr("worker.cli.demo.command.configure_logging", lambda *_: None)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("own_process_untouched")
def test_every_trade_is_confirmed_as_it_should_be(settings: Mapping[str, str]) -> None:
    with capture_logs():  # which go to the standard error of a real demo
        done = CliRunner().invoke(app, ["demo"], env=settings)

    assert done.exit_code == 0, done.output
    assert "trades were confirmed as they should be" in done.stdout
    for word in ("filled", "partially_filled", "rejected", "expired", "unresolved", "own", "schema_invalid"):
        assert word in done.stdout
    assert "\x1b" not in done.output
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_an_interrupted_demo_stops_what_it_started(settings: Mapping[str, str], tmp_path: Path) -> None:
    # Given a demo whose worker is running
    command = [sys.executable, "-m", "worker", "demo"]
    demo = subprocess.Popen(command, env=environment(settings), cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    while "worker:" not in demo.stdout.readline():
        assert demo.poll() is None

    # When it is told to end
    os.kill(demo.pid, signal.SIGINT)
    demo.stdout.close()

    # Then it ends at once, and the fixture finds nothing left
    assert demo.wait(30) == 130
