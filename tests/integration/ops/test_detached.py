"""Services that stay after the command that started them: up, status, down."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.services import ServiceFailed, Way, detached
from ops.services.engine import Engine
from ops.services.service import Services
from ops.services.start import start_services

pytestmark = pytest.mark.services

UP = "from ops.services import detached; detached.up()"


def start_in_another_process(folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", UP], cwd=folder, env=environment, check=True, capture_output=True, timeout=90)


def test_services_stay_until_they_are_taken_down(tmp_path: Path) -> None:
    place = tmp_path / ".services"
    assert detached.status(place) is None

    start_in_another_process(tmp_path)
    try:
        status = detached.status(place)
        assert status is not None
        assert status.rabbitmq_ready
        assert status.postgres_ready
        assert (place / "state.json").stat().st_mode & 0o077 == 0, "it holds passwords"
        assert detached.up(place) == status.state, "what is up is not started twice"
    finally:
        assert detached.down(place)

    assert not place.exists()
    assert not any(keeper.lives() or Path(keeper.folder).exists() for keeper in status.state.keepers)
    assert not detached.down(place)


def test_a_process_that_only_has_the_same_number_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        stale = detached.Keeper(bystander.pid, started=1, folder=str(tmp_path / "mt5-worker-postgres-gone"))
        state = {"way": Way.LOCAL, "amqp_url": "", "postgres_url": "", "keepers": [vars(stale)], "project": None}
        (tmp_path / "state.json").write_text(json.dumps(state))

        detached.down(tmp_path)

        assert bystander.poll() is None
        bystander.kill()


def test_a_broken_state_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")

    with pytest.raises(ServiceFailed, match=r"state\.json cannot be read.*remove it by hand"):
        detached.status(tmp_path)


class EngineWithoutImages:
    """A Docker engine that answers but cannot fetch images."""

    def answers(self) -> bool:
        return True

    def open(self) -> Services:
        raise ServiceFailed("pull access denied", "")


def test_a_docker_engine_without_images_does_not_bar_the_ways_after_it() -> None:
    engine: Engine = EngineWithoutImages()
    said: list[str] = []

    with start_services(without={Way.GIVEN}, engine=engine, say=said.append) as services:
        assert services.way is Way.LOCAL

    assert "pull access denied" in said[0]
