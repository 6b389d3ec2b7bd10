"""Services someone else runs, known by their URLs only."""

import os
from collections.abc import Callable
from functools import cached_property
from typing import NoReturn
from urllib.parse import urlsplit, urlunsplit

from ops.services.answers import amqp_answers, postgres_answers
from ops.services.errors import NotOurs, ServiceFailed
from ops.services.isolation import management_answers
from ops.services.keeper import wait_until
from ops.services.service import Services
from ops.services.ways import AMQP_VARIABLE, POSTGRES_VARIABLE, Way

_READY_SECONDS = 10.0
_MANAGEMENT_PORT = 15672
MANAGEMENT_VARIABLE = "TEST_AMQP_MANAGEMENT_URL"


class GivenService:
    """A service named by an environment variable; used, never stopped."""

    def __init__(self, variable: str) -> None:
        self.variable = variable

    @property
    def url(self) -> str:
        """The URL that was given."""
        return os.environ[self.variable]

    def answers(self) -> bool:
        """Tell whether it is ready for clients."""
        return postgres_answers(self.url)

    def stop(self) -> NoReturn:
        """Refuse."""
        raise NotOurs(f"The service in {self.variable} belongs to someone else: it is not stopped or paused here.")

    kill = pause = resume = restart = stop

    def wait_ready(self) -> None:
        """Wait until clients are served.

        Raises:
            ServiceFailed: it does not answer.

        """
        if not wait_until(self.answers, _READY_SECONDS):
            raise ServiceFailed(f"The service in {self.variable} does not answer: is it up, is the URL right?", "")

    def end(self) -> None:
        """Leave it as it is."""


class GivenPostgres(GivenService):
    """The PostgreSQL of TEST_POSTGRES_URL."""

    def __init__(self) -> None:
        super().__init__(POSTGRES_VARIABLE)


class GivenRabbitMQ(GivenService):
    """The RabbitMQ of TEST_AMQP_URL."""

    def __init__(self) -> None:
        super().__init__(AMQP_VARIABLE)

    def answers(self) -> bool:
        """Tell whether it begins AMQP connections."""
        return amqp_answers(self.url)

    @cached_property
    def management_url(self) -> str | None:
        """The management interface that is named or on its usual port, when it answers to the same user."""
        place = urlsplit(self.url)
        who = f"{place.username or 'guest'}:{place.password or 'guest'}"
        named = urlsplit(os.environ.get(MANAGEMENT_VARIABLE) or f"http://{place.hostname}:{_MANAGEMENT_PORT}")
        url = urlunsplit((named.scheme, f"{who}@{named.netloc.rpartition('@')[2]}", "", "", ""))
        return url if management_answers(url) else None


def given_services(say: Callable[[str], None]) -> Services:
    """Return the services named in the environment, once they answer."""
    services = Services(Way.GIVEN, GivenRabbitMQ(), GivenPostgres())
    services.wait_ready()
    if not services.isolates:
        say(
            f"The RabbitMQ in {AMQP_VARIABLE} has no management interface on port {_MANAGEMENT_PORT} of its host, "
            f"or in {MANAGEMENT_VARIABLE}, that lets its user in: no virtual hosts can be made there."
        )
    return services


def gives_corners(say: Callable[[str], None]) -> bool:
    """Tell whether the given services have room for tests side by side; if not, say what would make it."""
    if given_services(lambda _sentence: None).isolates:
        return True
    say(
        f"Every test needs a virtual host of its own, and the RabbitMQ in {AMQP_VARIABLE} can make none. Enable its "
        f"management plugin (rabbitmq-plugins enable rabbitmq_management) and, unless that listens on port "
        f"{_MANAGEMENT_PORT}, name it in {MANAGEMENT_VARIABLE}. Going on with services of our own."
    )
    return False
