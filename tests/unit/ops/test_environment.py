"""The settings of the machine never reach a test."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROBE = """
from worker.settings import Settings

def test_probe():
    assert Settings().model_fields_set == set()
"""


def test_neither_the_environment_nor_an_env_file_is_seen(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AMQP_URL=amqp://production.test/\n")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.fixtures.environment"]\n')
    (tmp_path / "test_probe.py").write_text(PROBE)
    environment = os.environ | {
        "POSTGRES_URL": "postgresql://production.test/",
        "PYTHONPATH": str(ROOT),
    }

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "."],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert run.returncode == 0, run.stdout
