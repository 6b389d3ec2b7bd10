"""A desk for every module of acceptance tests, and the worker's log next to every failure."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import pytest

from ops.services import Services
from tests.acceptance.desk import Desk, eventually, open_desk
from tests.fixtures.services import new_ledger
from tests.fixtures.worker_process import WorkerProcess

_LOG_CHARACTERS_SHOWN = 6000
logging.getLogger("pika").setLevel(logging.CRITICAL)  # outages are these tests' daily bread


class DeskMaker(Protocol):
    """Opens a desk with settings of its own, for as long as the `with` block lasts."""

    def __call__(self, **settings: str) -> AbstractContextManager[Desk]:
        """Set it up; keyword arguments are settings by their names in the environment."""
        ...


@pytest.fixture(scope="session")
def new_desk(services: Services, tmp_path_factory: pytest.TempPathFactory) -> DeskMaker:
    """Give every desk a virtual host, a database and a folder of its own."""

    @contextmanager
    def make(**settings: str) -> Iterator[Desk]:
        name = f"acceptance_{secrets.token_hex(5)}"
        folder = tmp_path_factory.mktemp("desk")
        amqp_url, postgres_url = services.new_vhost(name), new_ledger(services, name)
        try:
            with open_desk(amqp_url, postgres_url, folder, **settings) as desk:
                yield desk
        finally:
            services.delete_vhost(name)
            services.drop_database(name)

    return make


@pytest.fixture
def standby(desk: Desk) -> Iterator[WorkerProcess]:
    """Start a second worker of the desk's account and wait until it stands by."""
    folder = desk.folder / "standby"
    folder.mkdir()
    second = WorkerProcess(desk.settings, folder)
    second.start()
    try:
        eventually(lambda: "standing_by" in second.log, "the second worker does not stand by")
        yield second
    finally:
        second.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],  # noqa: ARG001 - pytest's
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the worker said when a test of its desk fails."""
    report = yield
    desk = getattr(item, "funcargs", {}).get("desk")
    if report.failed and isinstance(desk, Desk):
        report.sections.append(("worker's log", desk.worker.log[-_LOG_CHARACTERS_SHOWN:]))
    return report
