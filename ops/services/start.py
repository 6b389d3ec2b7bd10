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


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def start_services(
    way: Way | None = None, *, without: Collection[Way] = (), say: Callable[[str], None] = _say
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


def open_services(way: Way, say: Callable[[str], None] = _say) -> Services:
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
    services = Services(Way.LOCAL, PrivateRabbitMQ(found.rabbitmq), PrivatePostgres(found.postgres))
    with ThreadPoolExecutor() as pool:
        starts = [pool.submit(service.start) for service in (services.rabbitmq, services.postgres)]
    try:
        for start in starts:
            start.result()
    except BaseException:
        services.end()
        raise
    return services
