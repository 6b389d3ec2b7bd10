"""The README tells the truth: its snippets are run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk
from tests.fixtures.worker_process import environment
from worker.settings import Settings

pytestmark = [pytest.mark.services, pytest.mark.acceptance]

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk() as one:
        yield one


def snippet(name: str) -> str:
    found = re.search(rf"<!-- snippet: {name} -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def test_what_one_snippet_publishes_the_other_one_hears(desk: Desk, tmp_path: Path) -> None:
    # Given a subscriber that runs the README's snippet
    settings = environment(desk.settings)
    listening = snippet("subscribe").replace("seen = set()", "seen = set()\nprint('listening', flush=True)")
    with subprocess.Popen(
        [sys.executable, "-c", listening], env=settings, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as subscriber:
        assert subscriber.stdout is not None
        assert subscriber.stdout.readline() == "listening\n"

        # When the publisher's snippet is run
        subprocess.run([sys.executable, "-c", snippet("publish")], env=settings, cwd=tmp_path, check=True, timeout=60)

        # Then its trade is printed as filled
        trade_id, status, price = subscriber.stdout.readline().split()
        subscriber.kill()
    assert trade_id.startswith("RPM-")
    assert status == "filled"
    assert float(price) > 0


def test_the_prompt_s_snippet_places_an_order(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-"],
        input=snippet("prompt"),
        env=environment({}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "MarketSnapshot(" in done.stdout
    assert "True {" in done.stdout


def test_every_setting_is_in_the_table() -> None:
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", README, re.MULTILINE)
        for name in re.findall(r"`([A-Z0-9_]+)`", row)
    }
    assert named == {name.upper() for name in Settings.model_fields}


def test_every_link_to_a_file_leads_somewhere() -> None:
    root = Path(__file__).parents[2]
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (root / link).exists()] == []
