"""RabbitMQ and PostgreSQL for the demo in containers, from the project's own docker-compose.yml."""

import os
import secrets
import subprocess
from pathlib import Path

from ops.services.answers import amqp_answers, postgres_answers
from ops.services.engine import ContainerService, docker, docker_answers, engine_answers
from ops.services.errors import ServiceFailed
from ops.services.places import HOST, PREFIX, free_port
from ops.services.service import Services
from ops.services.ways import Way

COMPOSE_FILE = Path(__file__).parents[2] / "docker-compose.yml"
_SECONDS = 300.0


class Compose:
    """The Docker engine with its compose plugin; each run is a compose project of its own, on free ports."""

    def __init__(self) -> None:
        self.project = f"{PREFIX}{secrets.token_hex(4)}"
        self._password = secrets.token_hex(16)
        self._amqp, self._management, self._postgres = (free_port() for _ in range(3))

    def answers(self) -> bool:
        """Tell whether the engine and the plugin answer."""
        return engine_answers() and docker_answers("compose", "version")

    def open(self) -> Services:
        """Start both containers; the caller ends them."""
        try:
            self._compose("up", "--detach", "--wait", "rabbitmq", "postgres")
        except BaseException:
            remove_project(self.project)
            raise
        user = f"mt5:{self._password}@{HOST}"
        rabbitmq = ContainerService(
            name="rabbitmq",
            url=f"amqp://{user}:{self._amqp}/%2F",
            ready=amqp_answers,
            tell=lambda word: self._compose(word, "rabbitmq"),
            log=lambda: self._compose("logs", "--tail", "20", "rabbitmq"),
            remove=lambda: remove_project(self.project),
            management_url=f"http://{user}:{self._management}",
        )
        postgres = ContainerService(
            name="postgres",
            url=f"postgresql://{user}:{self._postgres}/mt5",
            ready=postgres_answers,
            tell=lambda word: self._compose(word, "postgres"),
            log=lambda: self._compose("logs", "--tail", "20", "postgres"),
            remove=lambda: remove_project(self.project),
        )
        return Services(Way.CONTAINERS, rabbitmq, postgres)

    def _compose(self, *arguments: str) -> str:
        environment = os.environ | {
            "RABBITMQ_PORT": str(self._amqp),
            "RABBITMQ_MANAGEMENT_PORT": str(self._management),
            "RABBITMQ_PASSWORD": self._password,
            "POSTGRES_PORT": str(self._postgres),
            "POSTGRES_PASSWORD": self._password,
        }
        # Without the env file compose would read .env, which may hold production's settings.
        place = ("--env-file", os.devnull, "--file", str(COMPOSE_FILE), "--project-name", self.project)
        try:
            done = docker("compose", *place, *arguments, seconds=_SECONDS, environment=environment)
        except subprocess.TimeoutExpired as error:
            raise ServiceFailed(f"docker compose {arguments[0]} took more than {_SECONDS:.0f} s.", "") from error
        if done.returncode != 0:
            raise ServiceFailed(f"docker compose {' '.join(arguments)} failed.", done.stdout[-2000:])
        return done.stdout


def remove_project(project: str) -> None:
    """Remove the containers, networks and volumes of a compose project; nothing to do when there are none."""
    docker("compose", "--project-name", project, "down", "--volumes", "--timeout", "5", seconds=_SECONDS)
