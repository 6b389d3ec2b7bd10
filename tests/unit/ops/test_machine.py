"""How this machine answers the questions that decide the way."""

import pytest

from ops.services import packages
from ops.services.machine import ThisMachine
from ops.services.service import Services


class NoEngine:
    def answers(self) -> bool:
        return False

    def open(self) -> Services:
        raise AssertionError("an engine that does not answer is not used")


def test_only_urls_that_say_something_count_as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_AMQP_URL", "amqp://broker.test/")
    monkeypatch.setenv("TEST_POSTGRES_URL", "")

    assert ThisMachine(NoEngine()).given_urls() == ["TEST_AMQP_URL"]


def test_the_urls_of_production_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEST_AMQP_URL", "TEST_POSTGRES_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AMQP_URL", "amqp://production.test/")
    monkeypatch.setenv("POSTGRES_URL", "postgresql://production.test/")

    assert ThisMachine(NoEngine()).given_urls() == []


def test_installing_can_be_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "is_debian", lambda: True)
    monkeypatch.setattr(packages, "root_prefix", list)
    monkeypatch.delenv("NO_INSTALL", raising=False)
    assert ThisMachine(NoEngine()).can_install()

    monkeypatch.setenv("NO_INSTALL", "1")

    assert not ThisMachine(NoEngine()).can_install()
