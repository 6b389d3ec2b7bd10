"""
A wire that misbehaves on command: a TCP proxy on 127.0.0.1 in front of RabbitMQ or PostgreSQL.

It runs in a thread of its own; every command returns when it is carried out. What it can do is what networks do: reset
or end connections, refuse new ones, fall silent in one or both directions, lose one end without telling the other, be
slow, and break at the very moment at which one message has arrived and the next one has not.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tests.faults.wire_formats import LengthOf, Moment, Splitter, Towards, amqp, anything, postgres

_T = TypeVar("_T")

_CHUNK = 65536
_HELD = 64 * 1024 * 1024  # bytes that a silent wire takes before it pushes back
_COMMAND_SECONDS = 10
_FORMATS: dict[str, tuple[LengthOf, int]] = {
    "amqp": (amqp, 5672),
    "postgresql": (postgres, 5432),
    "postgres": (postgres, 5432),
    "tcp": (anything, 0),
}
_BOTH = (Towards.SERVER, Towards.CLIENT)


class Proxy:
    """Stands in front of the server of `url`; `self.url` is what to give to the client instead."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._format, default_port = _FORMATS[parts.scheme]
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or default_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{parts.scheme}", daemon=True)
        self._url = parts
        self._own_port = 0
        self._connections: set[_Connection] = set()
        self._carriers: set[asyncio.Task[None]] = set()
        self._admits = True
        self.gates = {towards: asyncio.Event() for towards in _BOTH}
        self.delay_seconds = 0.0
        self.armed: Moment | None = None
        self.fired: Counter[Moment] = Counter()
        self._listener: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        for gate in self.gates.values():
            gate.set()
        self._listener = self._wait(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_COMMAND_SECONDS)
        self._loop.close()

    @property
    def url(self) -> str:
        """The server's URL with the proxy's address in it."""
        user = self._url.netloc.rpartition("@")[0]
        query = dict(parse_qsl(self._url.query))
        if self._format is postgres:
            query |= {"sslmode": "disable", "gssencmode": "disable"}
        netloc = f"{user}@127.0.0.1:{self._own_port}" if user else f"127.0.0.1:{self._own_port}"
        return urlunsplit(self._url._replace(netloc=netloc, query=urlencode(query)))

    @property
    def connections(self) -> int:
        """How many connections there are now, lost ones not counted."""
        return self._do(lambda: len(self._connections))

    def cut(self, *, reset: bool = True) -> None:
        """End all connections: reset (RST), or in order (FIN)."""
        self._do(lambda: self._end_all(reset=reset))

    def refuse(self) -> None:
        """Turn away whoever connects from now on."""
        self._do(lambda: setattr(self, "_admits", False))

    def stall(self, *directions: Towards) -> None:
        """Take bytes and pass none on, in these directions (default: both), until `heal`."""

        def close_the_gates() -> None:
            for towards in directions or _BOTH:
                self.gates[towards].clear()

        self._do(close_the_gates)

    def lose(self, end: Towards) -> None:
        """Break all connections towards one end only: the other end hears nothing of it, and nothing any more."""

        def break_it() -> None:
            for connection in list(self._connections):
                connection.lose(end)

        self._do(break_it)

    def delay(self, seconds: float) -> None:
        """Pass everything on later by so much."""
        self._do(lambda: setattr(self, "delay_seconds", seconds))

    def cut_at(self, moment: Moment) -> None:
        """Reset a connection once, when this message has come and before it is passed on."""
        self._do(lambda: setattr(self, "armed", moment))

    def heal(self) -> None:
        """Behave again. Held bytes are passed on; connections of which one end was lost are reset."""
        self._do(self._heal)

    def admit(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Begin to carry a connection, or turn it away."""
        if not self._admits:
            _reset(to_client)
            return
        carrier = self._loop.create_task(self._carry(client, to_client))
        self._carriers.add(carrier)
        carrier.add_done_callback(self._carriers.discard)

    async def _carry(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection(self._host, self._port, limit=_HELD)
        except OSError:
            _reset(to_client)
            return
        connection = _Connection(self, {Towards.CLIENT: to_client, Towards.SERVER: to_server})
        self._connections.add(connection)
        try:
            await connection.carry({Towards.SERVER: client, Towards.CLIENT: server}, self._format)
        finally:
            self._connections.discard(connection)
            connection.end(reset=False)

    async def _listen(self) -> asyncio.Server:
        listener = await asyncio.start_server(self.admit, "127.0.0.1", self._own_port, limit=_HELD)
        self._own_port = listener.sockets[0].getsockname()[1]
        return listener

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._end_all(reset=True)
        for carrier in self._carriers:
            carrier.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)

    def _end_all(self, *, reset: bool) -> None:
        for connection in list(self._connections):
            connection.end(reset=reset)

    def _heal(self) -> None:
        self._admits, self.delay_seconds, self.armed = True, 0.0, None
        for gate in self.gates.values():
            gate.set()
        for connection in list(self._connections):
            if connection.lost is not None:
                connection.end(reset=True)

    def _do(self, command: Callable[[], _T]) -> _T:
        async def carried_out() -> _T:
            return command()

        return self._wait(carried_out())

    def _wait(self, command: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(command, self._loop).result(_COMMAND_SECONDS)


class _Connection:
    """One client's connection and the one made for it to the server."""

    def __init__(self, proxy: Proxy, ends: dict[Towards, asyncio.StreamWriter]) -> None:
        self._proxy, self._ends = proxy, ends
        self._ended = asyncio.Event()
        self.lost: Towards | None = None

    async def carry(self, sources: dict[Towards, asyncio.StreamReader], length_of: LengthOf) -> None:
        """Carry both ways until either end closes, or `end`."""
        pumps = [self._pump(sources[to], to, Splitter(length_of)) for to in sources]
        tasks = [asyncio.ensure_future(work) for work in (*pumps, self._ended.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def end(self, *, reset: bool) -> None:
        """Close both ends."""
        self._ended.set()
        for writer in self._ends.values():
            _reset(writer) if reset else writer.close()

    def lose(self, end: Towards) -> None:
        """Break one end; the other stays open, and what it says goes nowhere."""
        self.lost = end
        _reset(self._ends[end])

    async def _pump(self, source: asyncio.StreamReader, towards: Towards, splitter: Splitter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(_CHUNK):
                if self.lost is None and not await self._pass_on(list(splitter.feed(data)), towards):
                    return
        if self.lost not in {None, towards}:
            await asyncio.Event().wait()  # the end that was lost; the other is to hear nothing of it

    async def _pass_on(self, messages: Sequence[bytes], towards: Towards) -> bool:
        """Write messages; False when the wire broke at one of them."""
        armed = self._proxy.armed
        for place, message in enumerate(messages):
            if armed is not None and armed.towards is towards and armed.is_it(message):
                self._proxy.armed = None
                self._proxy.fired[armed] += 1
                await self._write(messages[:place], towards)
                self.end(reset=True)
                return False
        await self._write(messages, towards)
        return True

    async def _write(self, messages: Sequence[bytes], towards: Towards) -> None:
        if self._proxy.delay_seconds:
            await asyncio.sleep(self._proxy.delay_seconds)
        await self._proxy.gates[towards].wait()
        writer = self._ends[towards]
        if self.lost is None and not writer.is_closing():
            writer.write(b"".join(messages))
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset: no farewell, nothing that is still in the buffers."""
    end: socket.socket | None = writer.get_extra_info("socket")
    if end is not None and end.fileno() >= 0:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
