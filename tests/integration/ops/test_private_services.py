"""Private RabbitMQ and PostgreSQL: they survive what happens to services, and leave nothing behind."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pika
import psycopg
import pytest

from ops.services import ServiceFailed, Services, Way, start_services
from ops.services.answers import amqp_answers, postgres_answers
from ops.services.binaries import find_binaries
from ops.services.places import HOST, free_port
from ops.services.postgres import PrivatePostgres
from ops.services.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.services


def remember(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS memory (fact text)")
        connection.execute("INSERT INTO memory VALUES ('fact')")


def remembers(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) > 0 FROM memory").fetchone() == (True,)


def publish(url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("memory", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", "memory", b"fact", pika.BasicProperties(delivery_mode=2), mandatory=True)


def receive(url: str) -> bytes | None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        _, _, body = connection.channel().basic_get("memory", auto_ack=True)
        return body if isinstance(body, bytes) else None


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_postgresql_keeps_port_and_data_over_its_end(own_services: Services, end: str) -> None:
    postgres = own_services.postgres
    url = own_services.new_database(f"memory_{end}")
    remember(url)

    getattr(postgres, end)()
    assert not postgres_answers(url)
    postgres.restart()

    assert remembers(url)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_rabbitmq_keeps_port_and_messages_over_its_end(own_services: Services, end: str) -> None:
    rabbitmq = own_services.rabbitmq
    url = own_services.new_vhost(f"memory-{end}")
    publish(url)
    # RabbitMQ 3.10 loses a quorum queue that is younger than about a second when it is killed: its directory of
    # queues is written late, and nothing tells when.
    time.sleep(2)

    getattr(rabbitmq, end)()
    assert not amqp_answers(url)
    rabbitmq.restart()

    assert receive(url) == b"fact"


def test_paused_services_keep_silent_and_then_go_on(own_services: Services) -> None:
    own_services.rabbitmq.pause()
    own_services.postgres.pause()
    try:
        assert not amqp_answers(own_services.amqp_url)
        assert not postgres_answers(own_services.postgres_url)
    finally:
        own_services.rabbitmq.resume()
        own_services.postgres.resume()

    own_services.wait_ready()


def test_each_test_has_a_corner_of_its_own(amqp_url: str, postgres_url: str, services: Services) -> None:
    assert postgres_url != services.postgres_url
    assert services.rabbitmq.management_url is None or amqp_url != services.amqp_url


def test_a_given_pair_gives_each_test_a_corner_too(own_services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    management = own_services.rabbitmq.management_url
    assert management is not None
    monkeypatch.setenv("TEST_AMQP_URL", own_services.amqp_url)
    monkeypatch.setenv("TEST_POSTGRES_URL", own_services.postgres_url)
    monkeypatch.setenv("TEST_AMQP_MANAGEMENT_URL", f"http://{management.rpartition('@')[2]}")

    with start_services() as given:
        assert given.way is Way.GIVEN
        publish(given.new_vhost("corner"))
        remember(given.new_database("corner"))
        given.delete_vhost("corner")
        given.drop_database("corner")

    own_services.wait_ready()


@pytest.fixture
def postgres_binaries() -> Path:
    found = find_binaries().postgres
    if found is None:
        pytest.skip("PostgreSQL is not installed here")
    return found


class Unlucky(PrivatePostgres):
    """A PostgreSQL whose first port is taken between the choice and the start."""

    def __init__(self, binaries: Path, taken: int) -> None:
        super().__init__(binaries)
        self.taken = [taken]

    def take_ports(self) -> None:
        super().take_ports()
        if self.taken:
            self._port = self.taken.pop()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server((HOST, free_port())) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_was_taken_meanwhile_is_replaced(postgres_binaries: Path, taken_port: int) -> None:
    postgres = Unlucky(postgres_binaries, taken_port)

    postgres.start()

    assert urlsplit(postgres.url).port != taken_port
    postgres.end()


class UnluckyBroker(PrivateRabbitMQ):
    """A RabbitMQ whose first management port is taken between the choice and the start."""

    def __init__(self, server: Path, taken: int) -> None:
        super().__init__(server)
        self.taken = [taken]

    def take_ports(self) -> None:
        super().take_ports()
        if self.taken:
            config = self.folder / "rabbitmq.conf"
            config.write_text(config.read_text().replace(str(self._management), str(self.taken.pop())))


def test_a_port_of_rabbitmq_that_was_taken_meanwhile_is_replaced(taken_port: int) -> None:
    server = find_binaries().rabbitmq
    if server is None:
        pytest.skip("RabbitMQ is not installed here")
    rabbitmq = UnluckyBroker(server, taken_port)

    rabbitmq.start()

    assert rabbitmq.answers()
    rabbitmq.end()


def test_a_service_that_does_not_come_up_shows_why(tmp_path: Path) -> None:
    (tmp_path / "initdb").write_text("#!/bin/sh\necho 'no space left on device'; exit 1\n")
    tmp_path.chmod(0o755)
    (tmp_path / "initdb").chmod(0o755)
    postgres = PrivatePostgres(Path(tmp_path))

    with pytest.raises(ServiceFailed, match=r"PostgreSQL ended while it started\.") as failure:
        postgres.start()

    assert failure.value.log
    assert not postgres.folder.exists()


def test_the_own_pair_is_never_one_that_was_given(own_services: Services) -> None:
    assert own_services.way is not Way.GIVEN
