"""RabbitMQ and PostgreSQL for tests in containers, through the testcontainers package.

Its helper container removes the others should this program be killed.
"""

import secrets
from typing import Any

from ops.services.answers import amqp_answers, postgres_answers
from ops.services.engine import ContainerService, engine_answers
from ops.services.errors import ServiceFailed
from ops.services.places import free_port
from ops.services.service import Services
from ops.services.ways import Way

RABBITMQ_IMAGE = "rabbitmq:3.13-management"
POSTGRES_IMAGE = "postgres:16"


class Testcontainers:
    """The Docker engine, for tests."""

    __test__ = False  # a tool, whatever pytest makes of its name

    def answers(self) -> bool:
        """Tell whether a Docker engine answers."""
        return engine_answers()

    def open(self) -> Services:
        """Start both containers; the caller ends them."""
        rabbitmq = _rabbitmq()
        try:
            services = Services(Way.CONTAINERS, rabbitmq, _postgres())
            services.wait_ready()
        except BaseException:
            rabbitmq.end()
            raise
        return services


def _rabbitmq() -> ContainerService:
    password, amqp, management = secrets.token_hex(16), free_port(), free_port()
    container = _run(
        RABBITMQ_IMAGE,
        {5672: amqp, 15672: management},
        {"RABBITMQ_DEFAULT_USER": "services", "RABBITMQ_DEFAULT_PASS": password},
    )
    user = f"services:{password}@{container.get_container_host_ip()}"
    return _service(
        RABBITMQ_IMAGE,
        container,
        url=f"amqp://{user}:{amqp}/%2F",
        ready=amqp_answers,
        management_url=f"http://{user}:{management}",
    )


def _postgres() -> ContainerService:
    password, port = secrets.token_hex(16), free_port()
    container = _run(POSTGRES_IMAGE, {5432: port}, {"POSTGRES_PASSWORD": password})
    url = f"postgresql://postgres:{password}@{container.get_container_host_ip()}:{port}/postgres"
    return _service(POSTGRES_IMAGE, container, url=url, ready=postgres_answers)


def _run(image: str, ports: dict[int, int], environment: dict[str, str]) -> Any:
    # Imported here because the package is there for development only, and slow to import.
    from docker.errors import DockerException  # noqa: PLC0415 - see above
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - see above

    try:
        container = DockerContainer(image).with_envs(**environment)
        for inside, outside in ports.items():
            # A port of our choice: one chosen by Docker would change with every restart.
            container = container.with_bind_ports(inside, outside)
        return container.start()
    except (DockerException, OSError) as error:
        raise ServiceFailed(f"Docker could not start {image}: {error}", "") from error


def _service(image: str, container: Any, **rest: Any) -> ContainerService:
    docker = container.get_wrapped_container()
    return ContainerService(
        name=image,
        tell=lambda word: getattr(docker, word)(),
        log=lambda: docker.logs(tail=20).decode(errors="replace"),
        remove=container.stop,
        **rest,
    )
