"""The server for monitoring systems: it answers what it knows, and lets nobody keep it busy."""

from __future__ import annotations

import socket
import socketserver
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from structlog.testing import capture_logs

from tests.fixtures.scrape import Scraper
from worker.domain.errors import WrongSetting
from worker.monitoring import http
from worker.monitoring.http import LONGEST_HEAD, MOST_CONNECTIONS, Reply, serving


def _fine() -> Reply:
    return Reply(HTTPStatus.OK, "text/plain", b"fine\n")


def _broken() -> Reply:
    raise ValueError("a defect")


@pytest.fixture
def port() -> Iterator[int]:
    with serving("127.0.0.1", 0, {"/fine": _fine, "/broken": _broken}) as port:
        yield port


def _answer(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        return _rest(connection)


def _rest(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(4096), b""))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET /fine HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
        (b"GET /fine?x=1 HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n"),
        (b"GET /fine/../fine HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n"),
        (b"\xff\x00 / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n"),
        (b"POST /fine HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed\r\n"),
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"GET /fine SPDY\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"GET /fine HTTP/1.1\r\nX: " + b"x" * LONGEST_HEAD, b"HTTP/1.1 400 Bad Request\r\n"),
    ],
)
def test_only_what_is_known_is_answered(port: int, request_: bytes, expected: bytes) -> None:
    answer = _answer(port, request_)

    assert answer.startswith(expected)
    assert b"server:" not in answer.lower()
    assert b"python" not in answer.lower()
    assert (b"Allow: GET, HEAD\r\n" in answer) == (b" 405 " in expected)


def test_a_head_is_answered_without_its_body(port: int) -> None:
    answer = _answer(port, b"HEAD /fine HTTP/1.1\r\n\r\n")

    assert b"Content-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_who_says_nothing_is_cut_off_and_keeps_nobody_waiting(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWERED_WITHIN_SECONDS", 0.3)

    with socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
        assert Scraper(port).get("/fine").body == b"fine\n"
        assert _rest(silent) == b""


def test_too_many_at_a_time_are_sent_away(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWERED_WITHIN_SECONDS", 1.0)
    silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(MOST_CONNECTIONS)]

    # While all places are taken, one more gets no answer; when the silent ones are cut off, there is room again
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one_more:
        assert _rest(one_more) == b""
    for connection in silent:
        assert _rest(connection) == b""
        connection.close()
    assert Scraper(port).get("/fine").status == HTTPStatus.OK


def test_a_thread_that_cannot_be_started_takes_nobody_s_place(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as machine, capture_logs() as lines:
        machine.setattr(socketserver.ThreadingMixIn, "process_request", no_more)
        for _ in range(MOST_CONNECTIONS):
            assert _answer(port, b"GET /fine HTTP/1.1\r\n\r\n") == b""

    assert len(lines) == MOST_CONNECTIONS
    assert Scraper(port).get("/fine").status == HTTPStatus.OK


def test_a_defect_is_logged_and_the_next_is_answered(port: int) -> None:
    with capture_logs() as lines:
        assert _answer(port, b"GET /broken HTTP/1.1\r\n\r\n") == b""

    assert [line["event"] for line in lines] == ["http_failed"]
    assert Scraper(port).get("/fine").status == HTTPStatus.OK


@pytest.mark.parametrize("host", ["no such host.invalid", "192.0.2.1", "\udcff"])
def test_where_nothing_can_be_served_is_told_in_a_sentence(host: str) -> None:
    with pytest.raises(WrongSetting, match="HTTP_PORT: nothing can be served at"), serving(host, 0, {}):
        pass


def test_a_port_that_is_taken_is_told_in_a_sentence(port: int) -> None:
    with pytest.raises(WrongSetting, match=f"127.0.0.1:{port} .*choose a port that is free"):
        serving("127.0.0.1", port, {}).__enter__()
