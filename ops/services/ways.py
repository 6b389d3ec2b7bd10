"""Decides how this machine gets a RabbitMQ and a PostgreSQL: five ways, in a fixed order."""

from collections.abc import Collection
from enum import StrEnum
from typing import Protocol

from ops.services.errors import ServicesUnavailable

AMQP_VARIABLE = "TEST_AMQP_URL"
POSTGRES_VARIABLE = "TEST_POSTGRES_URL"


class Way(StrEnum):
    """How to get services, best first; the fifth way is to tell the person what to install."""

    GIVEN = "given by TEST_AMQP_URL and TEST_POSTGRES_URL"
    CONTAINERS = "containers of the local Docker engine"
    LOCAL = "private instances from local binaries"
    INSTALL = "private instances, after installing what is missing with apt"


class Machine(Protocol):
    """What the decision needs to know; asked in order, and no more than needed."""

    def given_urls(self) -> list[str]:
        """Return the names of the variables that are set."""

    def docker_answers(self) -> bool:
        """Tell whether a Docker engine answers."""

    def missing_packages(self) -> list[str]:
        """Return the packages that would bring the missing programs; empty when all are there."""

    def can_install(self) -> bool:
        """Tell whether they may be installed."""


def choose(machine: Machine, *, without: Collection[Way] = ()) -> Way:
    """Return the first way that is open.

    Raises:
        ServicesUnavailable: none is, or only one of the two URLs is set; the text says what to do.

    """
    given = machine.given_urls()
    if len(given) == 1:
        raise ServicesUnavailable(
            f"{given[0]} is set, but services are used only as a pair: "
            f"set both {AMQP_VARIABLE} and {POSTGRES_VARIABLE}, or neither."
        )
    if given and Way.GIVEN not in without:
        return Way.GIVEN
    if Way.CONTAINERS not in without and machine.docker_answers():
        return Way.CONTAINERS
    missing = machine.missing_packages()
    if not missing:
        return Way.LOCAL
    if machine.can_install():
        return Way.INSTALL
    raise ServicesUnavailable(
        f"No RabbitMQ and PostgreSQL to work with: not installed here: {', '.join(missing)}.\n"
        f"Do one of these: install them (Debian, Ubuntu: sudo apt-get install {' '.join(missing)}; no service needs "
        f"to run); start a Docker engine; or set {AMQP_VARIABLE} and {POSTGRES_VARIABLE} to servers meant for tests."
    )
