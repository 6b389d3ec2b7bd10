"""Services known by their URLs only: used, never stopped."""

from collections.abc import Callable
from operator import methodcaller

import pytest

from ops.services import NotOurs, ServiceFailed, Services, Way, given
from ops.services.answers import amqp_answers, postgres_answers
from ops.services.given import GivenPostgres, GivenRabbitMQ, given_services
from ops.services.places import free_port
from ops.services.start import way_for_tests


@pytest.fixture(autouse=True)
def _nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_AMQP_URL", f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    monkeypatch.setenv("TEST_POSTGRES_URL", f"postgresql://me:secret@127.0.0.1:{free_port()}/tests")
    monkeypatch.setattr(given, "_READY_SECONDS", 0.0)


@pytest.mark.parametrize("wish", ["stop", "kill", "pause", "resume", "restart"])
@pytest.mark.parametrize(("make", "variable"), [(GivenRabbitMQ, "TEST_AMQP_URL"), (GivenPostgres, "TEST_POSTGRES_URL")])
def test_what_belongs_to_someone_else_is_not_stopped(make: Callable[[], object], variable: str, wish: str) -> None:
    with pytest.raises(NotOurs, match=variable):
        methodcaller(wish)(make())


def test_a_given_service_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(ServiceFailed, match="TEST_AMQP_URL does not answer"):
        given_services(lambda _sentence: None)

    with pytest.raises(ServiceFailed, match="TEST_POSTGRES_URL does not answer") as failure:
        GivenPostgres().wait_ready()
    assert "secret" not in str(failure.value)


def test_tests_pass_by_a_rabbitmq_that_can_give_them_no_virtual_host(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a RabbitMQ and a PostgreSQL that answer, without a management interface
    monkeypatch.setenv("TEST_AMQP_MANAGEMENT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr(GivenRabbitMQ, "answers", lambda _self: True)
    monkeypatch.setattr(GivenPostgres, "answers", lambda _self: True)
    said: list[str] = []

    # Then the demo, alone there, takes what is given, and tests go on without it and say why
    services = Services(Way.GIVEN, GivenRabbitMQ(), GivenPostgres())
    assert services.new_vhost("mine") == services.amqp_url
    assert way_for_tests(said.append) is not Way.GIVEN
    assert "rabbitmq-plugins enable rabbitmq_management" in said[0]


@pytest.mark.parametrize("url", ["amqp://127.0.0.1:99999/", "amqp://127.0.0.1:port/", ""])
def test_a_url_that_is_none_answers_nothing(url: str) -> None:
    assert not amqp_answers(url)
    assert not postgres_answers(url.replace("amqp", "postgresql") or "no url")
