"""The compose file: what can be said of it without running it."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from ops.services import compose
from ops.services.compose import COMPOSE_FILE, Compose
from ops.services.engine import docker_answers
from ops.services.testcontainers import POSTGRES_IMAGE, RABBITMQ_IMAGE

Calls = list[tuple[tuple[str, ...], dict[str, str]]]  # arguments and environment of each docker command


@pytest.fixture(scope="module")
def resolved() -> dict[str, Any]:
    """Read the file as docker compose understands it; no engine is needed for that."""
    if not docker_answers("compose", "version"):
        pytest.skip("the docker client with its compose plugin is not installed here")
    command = [shutil.which("docker") or "", "compose", "--file", str(COMPOSE_FILE), "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    services: dict[str, Any] = json.loads(done.stdout)["services"]
    return services


def test_every_published_port_is_open_to_this_machine_only() -> None:
    published = re.findall(r"^ +- (\S+:\d+)$", COMPOSE_FILE.read_text(), re.MULTILINE)

    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_worker_trades_on_the_simulated_terminal_only() -> None:
    assert re.findall(r"MT5_BACKEND: (\w+)", COMPOSE_FILE.read_text()) == ["simulated"]


def test_what_is_built_here_is_neither_pulled_nor_built_twice_under_one_name() -> None:
    assert re.findall(r"^ +image: (\S+)$", COMPOSE_FILE.read_text(), re.MULTILINE) == [RABBITMQ_IMAGE, POSTGRES_IMAGE]


def test_the_worker_is_asked_for_its_health_where_it_serves_it() -> None:
    port = re.findall(r"HTTP_PORT: (\d+)", COMPOSE_FILE.read_text())

    assert re.findall(r"http://127\.0\.0\.1:(\d+)/health/live", COMPOSE_FILE.read_text()) == port
    assert f"worker:{port[0]}" in COMPOSE_FILE.read_text()


def test_each_part_waits_for_what_it_needs(resolved: dict[str, Any]) -> None:
    waits = {
        name: {need: how["condition"] for need, how in part.get("depends_on", {}).items()}
        for name, part in resolved.items()
    }

    healthy = {"rabbitmq": "service_healthy", "postgres": "service_healthy"}
    assert waits["migrate"] == healthy
    assert waits["worker"] == healthy | {"migrate": "service_completed_successfully"}


@pytest.fixture
def docker_calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls: Calls = []

    def docker(
        *arguments: str, seconds: float, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        assert seconds > 0
        calls.append((arguments, environment or {}))
        return subprocess.CompletedProcess(arguments, 0, stdout="")

    monkeypatch.setattr(compose, "docker", docker)
    return calls


def test_a_demo_is_a_compose_project_of_its_own_and_never_reads_the_env_file(
    docker_calls: Calls,
) -> None:
    first, second = Compose(), Compose()

    services = first.open()
    services.rabbitmq.pause()
    services.end()

    words = [" ".join(arguments) for arguments, _ in docker_calls]
    assert first.project != second.project
    assert all(first.project in line for line in words)
    assert words[0].startswith("compose --env-file /dev/null ")
    assert words[0].endswith(" up --detach --wait rabbitmq postgres")
    assert words[1].endswith(" pause rabbitmq")
    assert words[-1].endswith(" down --volumes --timeout 5")


def test_what_the_demo_sets_is_what_the_file_reads(
    docker_calls: Calls,
) -> None:
    services = Compose().open()

    _, environment = docker_calls[0]
    read = set(re.findall(r"\$\{(\w+):-", COMPOSE_FILE.read_text()))
    assert read == {name for name in environment if name in read}
    assert environment["POSTGRES_PASSWORD"] in services.postgres_url
    assert f":{environment['RABBITMQ_PORT']}/" in services.amqp_url
