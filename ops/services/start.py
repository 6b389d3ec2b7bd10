"""Starts a RabbitMQ and a PostgreSQL the way this machine allows, both at the same time."""

import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ops.services import packages
from ops.services.binaries import find_binaries
from ops.services.engine import Engine
from ops.services.errors import ServiceFailed, ServicesUnavailable
from ops.services.given import given_services, gives_corners
from ops.services.machine import ThisMachine
from ops.services.postgres import PrivatePostgres
from ops.services.rabbitmq import PrivateRabbitMQ
from ops.services.service import Services
from ops.services.testcontainers import Testcontainers
from ops.services.ways import Way, choose


def say(sentence: str) -> None:
    """Tell the person at the terminal, beside whatever the command itself prints."""
    sys.stderr.write(f"{sentence}\n")


@contextmanager
def start_services(
    way: Way | None = None,
    *,
    without: Collection[Way] = (),
    engine: Engine | None = None,
    say: Callable[[str], None] = say,
) -> Iterator[Services]:
    """Start services, and end them when the block is left; should this program be killed, they end too.

    ``way`` skips the choice; ``without`` leaves ways out of it; ``engine`` (default: testcontainers) is the tool
    for containers; ``say`` gets sentences for the person who waits.

    Raises:
        ServicesUnavailable: this machine offers no way; the text says what to do.
        ServiceFailed: a service did not come up; the text shows the end of its log.

    """
    services = open_services(way, without=without, engine=engine, say=say)
    try:
        yield services
    finally:
        services.end()


def way_for_tests(say: Callable[[str], None] = say) -> Way:
    """Choose the way as ever, but for given services in which tests would get in each other's way."""
    machine = ThisMachine(Testcontainers())
    way = choose(machine)
    if way is Way.GIVEN and not gives_corners(say):
        return choose(machine, without={Way.GIVEN})
    return way


def open_services(
    way: Way | None = None,
    *,
    without: Collection[Way] = (),
    engine: Engine | None = None,
    say: Callable[[str], None] = say,
) -> Services:
    """Start services that the caller ends; all else as in start_services."""
    engine = engine or Testcontainers()
    chosen = way or choose(ThisMachine(engine), without=without)
    try:
        return _open(chosen, engine, say)
    except ServiceFailed as failure:
        if way is not None or chosen is not Way.CONTAINERS:
            raise
        # An engine without access to images must not bar the ways after it.
        say(f"The Docker engine answers, but: {failure}\nGoing on without it.")
        return open_services(without={*without, Way.CONTAINERS}, engine=engine, say=say)


def _open(way: Way, engine: Engine, say: Callable[[str], None]) -> Services:
    match way:
        case Way.GIVEN:
            return given_services(say)
        case Way.CONTAINERS:
            return engine.open()
        case Way.INSTALL:
            packages.install(find_binaries().missing_packages, say)
    return private_services()


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
