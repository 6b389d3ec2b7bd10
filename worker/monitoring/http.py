"""
A very small HTTP server for monitoring systems: it answers GET and HEAD for a few fixed paths, and nothing else.

It runs in threads of its own, so that it answers also when the event loop does not. Each connection gets one answer and
is closed; what is too long, too slow or too much is cut off, so that nobody can keep the worker busy with it. There is
no encryption and no login: HTTP_HOST decides who can reach it.
"""

from __future__ import annotations

import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog

from worker.domain.errors import WrongSetting

LONGEST_HEAD = 8 * 1024  # bytes of a request's first line and headers
ANSWERED_WITHIN_SECONDS = 5.0  # a connection is closed after this, whatever its other end does
MOST_CONNECTIONS = 16  # at a time; more are closed at once

_END_OF_HEAD = b"\r\n\r\n"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a path answers."""

    status: HTTPStatus
    content_type: str
    body: bytes


Routes = Mapping[str, Callable[[], Reply]]


@contextmanager
def serving(host: str, port: int, routes: Routes) -> Iterator[int]:
    """Serve for the length of a block, at a port that is free when `port` is 0; raises WrongSetting if it cannot."""
    server = _listening(host, port, routes)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listening(host: str, port: int, routes: Routes) -> _Server:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return _Server(family, address, routes)
    except (OSError, UnicodeError) as error:
        raise WrongSetting(
            f"HTTP_PORT: nothing can be served at {host}:{port} ({error}); choose a port that is free and an HTTP_HOST "
            "of this machine, or 0 to serve nothing"
        ) from None


class _Server(socketserver.ThreadingTCPServer):
    """Hands each connection to a thread, a bounded number at a time."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name != "nt"  # there it would let two processes serve at one port
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, family: socket.AddressFamily, address: Any, routes: Routes) -> None:
        self.address_family, self.routes = family, routes
        self.free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there are not too many."""
        if not self.free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread to be had
            self.free.release()
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's
        """Tell of a defect; a connection that went away is nobody's business."""
        _log.exception("http_failed", meaning="a monitoring system got no answer; trades are not affected")


class _Connection(socketserver.BaseRequestHandler):
    """One request, one answer."""

    server: _Server
    request: socket.socket

    def handle(self) -> None:
        """Read the head of a request within limits, and answer it."""
        give_up_at = time.monotonic() + ANSWERED_WITHIN_SECONDS
        try:
            method, reply, more = self._answer(self._head(give_up_at))
            self.request.settimeout(max(give_up_at - time.monotonic(), 0.01))
            self.request.sendall(_written(reply, more, with_body=method != "HEAD"))
        except OSError:
            return  # too slow, or gone

    def finish(self) -> None:
        """Make room for another one; it was answered, or never will be."""
        self.server.free.release()

    def _head(self, give_up_at: float) -> bytes | None:
        """Return the request up to its empty line; None when that does not come soon enough."""
        head = b""
        while _END_OF_HEAD not in head:
            self.request.settimeout(max(give_up_at - time.monotonic(), 0.01))
            received = self.request.recv(LONGEST_HEAD + 1 - len(head))
            head += received
            if not received or len(head) > LONGEST_HEAD:
                return None
        return head

    def _answer(self, head: bytes | None) -> tuple[str, Reply, str]:
        """Return the method, the answer, and a header that it needs more than others."""
        if head is None:
            return "GET", _in_words(HTTPStatus.BAD_REQUEST), ""
        words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004 - method, target, version
            return "GET", _in_words(HTTPStatus.BAD_REQUEST), ""
        method, target, _ = words
        route = self.server.routes.get(target.partition("?")[0])
        if route is None:
            return method, _in_words(HTTPStatus.NOT_FOUND), ""
        if method not in {"GET", "HEAD"}:
            return method, _in_words(HTTPStatus.METHOD_NOT_ALLOWED), "Allow: GET, HEAD\r\n"
        return method, route(), ""


def _in_words(status: HTTPStatus) -> Reply:
    return Reply(status, "text/plain; charset=utf-8", f"{status.phrase}\n".encode())


def _written(reply: Reply, more: str, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {reply.status.value} {reply.status.phrase}\r\n"
        f"Content-Type: {reply.content_type}\r\n"
        f"Content-Length: {len(reply.body)}\r\n"
        f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n{more}\r\n"
    )
    return head.encode("ascii") + (reply.body if with_body else b"")
