"""
The command that plays the stories on a real demo account, as far as it can be tried without one.

A package stands in for the real one, by its name: what is tried is the command, its settings and its refusals.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.book import Book
from worker.settings import bare_environment

ROOT = Path(__file__).parents[2]
STAND_IN = """
import sys
from pathlib import Path
from types import SimpleNamespace

from worker.mt5 import simulated

package = sys.modules[__name__] = simulated.module(Path({book!r}))
account_info = package.account_info
package.account_info = lambda: SimpleNamespace(**account_info()._asdict() | {{"trade_mode": {trade_mode}}})
"""
DEMO, LIVE = 0, 2


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return tmp_path / "book.sqlite"


def _play(book: Path, trade_mode: int) -> subprocess.CompletedProcess[str]:
    (book.parent / "MetaTrader5.py").write_text(STAND_IN.format(book=str(book), trade_mode=trade_mode))
    stories = ["tests/conformance/test_terminal.py", "-k", "canary_flies or closed_by_its_ticket"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-cov", *stories, "--terminal", "native"],
        cwd=ROOT,
        env=bare_environment() | {"PYTHONPATH": str(book.parent), "MT5_BACKEND": "native"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_on_a_demo_account_the_stories_are_played_and_nothing_is_left(book: Path) -> None:
    played = _play(book, DEMO)

    assert played.returncode == 0, played.stdout
    assert "2 passed" in played.stdout
    assert len(Book(book).traded()) == 4
    assert Book(book).rows("positions") == []


def test_on_a_live_account_nothing_is_played(book: Path) -> None:
    played = _play(book, LIVE)

    assert played.returncode == 2
    assert "is a LIVE account: nothing is played with real money" in played.stdout
    assert Book(book).traded() == []
