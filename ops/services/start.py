"""Starts a RabbitMQ and a PostgreSQL the way this machine allows, both at the same time."""

import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ops.services import packages
from ops.services.binaries import find_binaries
from ops.services.errors import ServicesUnavailable
from ops.services.given import GivenPostgres, GivenRabbitMQ
from ops.services.postgres import PrivatePostgres
from ops.services.rabbitmq import PrivateRabbitMQ
from ops.services.service import Services
from ops.services.ways import ThisMachine, Way, choose


def say(sentence: str) -> None:
    """Tell the person at the terminal, beside whatever the command itself prints."""
    sys.stderr.write(f"{sentence}\n")


@contextmanager
def start_services(
    way: Way | None = None, *, without: Collection[Way] = (), say: Callable[[str], None] = say
) -> Iterator[Services]:
    """Start services, and end them when the block is left; should this program be killed, they end too.

    Raises:
        ServicesUnavailable: this machine offers no way; the text says what to do.
        ServiceFailed: a service did not come up; the text shows the end of its log.

    """
    services = open_services(way or choose(ThisMachine(), without=without), say)
    try:
        yield services
    finally:
        services.end()


def open_services(way: Way, say: Callable[[str], None] = say) -> Services:
    """Start services that the caller ends; see start_services."""
    if way is Way.GIVEN:
        return _given()
    if way is Way.INSTALL:
        packages.install(find_binaries().missing_packages, say)
    return private_services()


def _given() -> Services:
    services = Services(Way.GIVEN, GivenRabbitMQ(), GivenPostgres())
    services.rabbitmq.wait_ready()
    services.postgres.wait_ready()
    return services


def private_services() -> Services:
    """Start private instances from local binaries."""
    found = find_binaries()
    if found.rabbitmq is None or found.postgres is None:
        raise ServicesUnavailable(f"Still not installed: {', '.join(found.missing_packages)}.")
    rabbitmq, postgres = PrivateRabbitMQ(found.rabbitmq), PrivatePostgres(found.postgres)
    services = Services(Way.LOCAL, rabbitmq, postgres)
    try:
        with ThreadPoolExecutor() as pool:
            starts = [pool.submit(rabbitmq.start), pool.submit(postgres.start)]
        for start in starts:
            start.result()
    except BaseException:
        services.end()
        raise
    return services
