"""The proxy does to a connection what it says: a plain echo server, and the real RabbitMQ and PostgreSQL, behind it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress

import pika
import pika.exceptions
import psycopg
import pytest

from tests.acceptance.desk import eventually
from tests.faults.proxy import Proxy
from tests.faults.wire_formats import (
    ACKNOWLEDGEMENT,
    COMMIT,
    COMMITTED,
    CONFIRM,
    DELIVERY,
    PUBLISH,
    Moment,
    Splitter,
    Towards,
    amqp,
    postgres,
)

SILENCE_SECONDS = 0.3


class Echo:
    """Answers with what it gets, and keeps its ends of the connections."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.ends: list[socket.socket] = []
        self.heard = bytearray()
        self.news = threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                end, _ = self._listener.accept()
                self.ends.append(end)
                threading.Thread(target=self._answer, args=(end,), daemon=True).start()

    def _answer(self, end: socket.socket) -> None:
        with suppress(OSError):
            while data := end.recv(4096):
                with self.news:
                    self.heard += data
                    self.news.notify_all()
                end.sendall(data)

    def hears(self, words: bytes) -> bool:
        with self.news:
            return self.news.wait_for(lambda: words in self.heard, 5)

    def close(self) -> None:
        for one in [self._listener, *self.ends]:
            one.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as server:
        yield server


@pytest.fixture
def wire(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.url) as proxy:
        yield proxy


@pytest.fixture
def client(wire: Proxy) -> Iterator[socket.socket]:
    with _connect(wire) as client:
        assert _asked(client, b"hello") == b"hello"
        yield client


def _connect(wire: Proxy) -> socket.socket:
    host, _, port = wire.url.rpartition("//")[2].partition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def _asked(client: socket.socket, words: bytes) -> bytes:
    client.sendall(words)
    return client.recv(4096)


def _greet_a_newcomer(wire: Proxy) -> bytes:
    with _connect(wire) as newcomer:
        return _asked(newcomer, b"hello")


def _hears_nothing(client: socket.socket) -> bool:
    client.settimeout(SILENCE_SECONDS)
    try:
        return client.recv(4096) is None
    except TimeoutError:
        return True
    finally:
        client.settimeout(5)


def test_it_carries_both_ways(client: socket.socket) -> None:
    assert _asked(client, b"again") == b"again"


def test_a_reset_is_a_reset(wire: Proxy, client: socket.socket) -> None:
    wire.cut()

    with pytest.raises(ConnectionResetError):
        client.recv(1)
    eventually(lambda: wire.connections == 0, "the proxy still counts the connection")  # it may hear of it later


def test_an_end_in_order_is_one(wire: Proxy, client: socket.socket) -> None:
    wire.cut(reset=False)

    assert client.recv(1) == b""


def test_newcomers_are_turned_away_until_it_is_healed(wire: Proxy, client: socket.socket) -> None:
    wire.refuse()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        _greet_a_newcomer(wire)

    assert _asked(client, b"old friends stay") == b"old friends stay"
    wire.heal()
    assert _greet_a_newcomer(wire) == b"hello"


def test_a_stalled_wire_takes_bytes_and_gives_them_later(wire: Proxy, client: socket.socket, echo: Echo) -> None:
    wire.stall()
    client.sendall(b"patience")
    assert _hears_nothing(client)
    assert b"patience" not in echo.heard

    wire.heal()

    assert client.recv(4096) == b"patience"


def test_a_wire_may_stall_on_the_way_back_only(wire: Proxy, client: socket.socket, echo: Echo) -> None:
    wire.stall(Towards.CLIENT)
    client.sendall(b"half the way")

    assert echo.hears(b"half the way")
    assert _hears_nothing(client)
    wire.heal()
    assert client.recv(4096) == b"half the way"


def test_the_server_is_lost_and_the_client_not_told(wire: Proxy, client: socket.socket, echo: Echo) -> None:
    wire.lose(Towards.SERVER)

    client.sendall(b"into the void")
    assert _hears_nothing(client)
    assert b"void" not in echo.heard
    wire.heal()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_the_client_is_lost_and_the_server_not_told(wire: Proxy, client: socket.socket, echo: Echo) -> None:
    wire.lose(Towards.CLIENT)

    with pytest.raises(ConnectionResetError):
        client.recv(1)
    [end] = echo.ends
    end.sendall(b"still there?")
    assert end.fileno() >= 0


def test_a_slow_wire_is_slow(wire: Proxy, client: socket.socket) -> None:
    wire.delay(0.1)
    began = time.monotonic()

    assert _asked(client, b"slowly") == b"slowly"
    assert time.monotonic() - began >= 0.2, "once there, once back"


@pytest.mark.parametrize(
    ("length_of", "messages"),
    [
        (amqp, [b"AMQP\0\0\x09\x01", b"\x01\0\0\0\0\0\x04abcd\xce", b"\x08\0\0\0\0\0\0\xce"]),
        (postgres, [b"\0\0\0\x08\0\x03\0\0", b"Q\0\0\0\x0bCOMMIT\0", b"S\0\0\0\x04"]),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100])
def test_streams_are_cut_into_messages_wherever_they_are_torn(
    length_of: object, messages: list[bytes], step: int
) -> None:
    stream, splitter = b"".join(messages), Splitter(length_of)  # type: ignore[arg-type]

    found = [one for start in range(0, len(stream), step) for one in splitter.feed(stream[start : start + step])]

    assert found == messages


@pytest.mark.services
@pytest.mark.parametrize(("moment", "stands"), [(COMMIT, False), (COMMITTED, True)])
@pytest.mark.parametrize("manner", ["simple", "pipeline"])
def test_a_commit_is_cut_off_to_the_message(
    postgres_url: str,
    moment: Moment,
    stands: bool,  # noqa: FBT001 - a parameter of the story
    manner: str,
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as witness, Proxy(postgres_url) as wire:
        witness.execute("create table things (name text)")
        client = psycopg.connect(wire.url, autocommit=True)
        wire.cut_at(moment)

        with pytest.raises(psycopg.OperationalError):
            _insert(client, manner)

        assert wire.fired == {moment: 1}
        assert bool(witness.execute("select * from things").fetchall()) is stands
        with psycopg.connect(wire.url) as again:
            assert again.execute("select 1").fetchone() == (1,), "it cuts once"


def _insert(client: psycopg.Connection, manner: str) -> None:
    with closing(client), client.pipeline() if manner == "pipeline" else nullcontext(), client.transaction():
        client.execute("insert into things values ('one')")


@pytest.fixture
def queue(amqp_url: str) -> Iterator[tuple[str, pika.adapters.blocking_connection.BlockingChannel]]:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_declare("things", durable=True)
        yield amqp_url, channel


def _ready(channel: pika.adapters.blocking_connection.BlockingChannel) -> int:
    return int(channel.queue_declare("things", passive=True).method.message_count)


@pytest.mark.services
@pytest.mark.parametrize(("moment", "arrived"), [(PUBLISH, 0), (CONFIRM, 1)])
def test_a_publication_is_cut_off_to_the_message(
    queue: tuple[str, pika.adapters.blocking_connection.BlockingChannel], moment: Moment, arrived: int
) -> None:
    amqp_url, witness = queue
    with Proxy(amqp_url) as wire:
        channel = pika.BlockingConnection(pika.URLParameters(wire.url)).channel()
        channel.confirm_delivery()
        wire.cut_at(moment)

        with pytest.raises(pika.exceptions.AMQPError):
            channel.basic_publish("", "things", b"one")

        assert wire.fired == {moment: 1}
        assert _ready(witness) == arrived


def _consume_until_lost(connection: pika.BlockingConnection) -> None:
    channel = connection.channel()
    channel.basic_consume("things", lambda here, method, *_: here.basic_ack(method.delivery_tag))
    while True:
        connection.process_data_events(time_limit=1)


@pytest.mark.services
@pytest.mark.parametrize("moment", [DELIVERY, ACKNOWLEDGEMENT])
def test_a_delivery_is_cut_off_to_the_message(
    queue: tuple[str, pika.adapters.blocking_connection.BlockingChannel], moment: Moment
) -> None:
    amqp_url, witness = queue
    witness.basic_publish("", "things", b"one")
    with Proxy(amqp_url) as wire:
        connection = pika.BlockingConnection(pika.URLParameters(wire.url))
        wire.cut_at(moment)

        with pytest.raises(pika.exceptions.AMQPError):
            _consume_until_lost(connection)

        assert wire.fired == {moment: 1}
        assert next(iter(witness.consume("things", inactivity_timeout=5)))[2] == b"one", "delivered again"
