"""The benchmark measures: a quick run of its first section, from services to the page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = [pytest.mark.chaos, pytest.mark.services]


@pytest.mark.timeout(400)
def test_a_quick_run_measures_everybody_and_judges_the_claims(tmp_path: Path) -> None:
    page = tmp_path / "pages" / "report.html"
    command = [sys.executable, "-m", "ops.bench", "throughput", "--quick", "--runs", "1", "--json", "--html", str(page)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (section,) = report["sections"]
    rates = {figure["name"]: figure["median"] for figure in section["figures"]}
    assert rates.keys() == {"the worker", "the bare loop", "FastStream", "Dramatiq"}
    assert min(rates.values()) > 0
    assert len(section["claims"]) == 2
    assert "fsync on" in report["machine"]["PostgreSQL"]
    assert "<svg" in page.read_text()
