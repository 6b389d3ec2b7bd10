"""One connection to RabbitMQ, from its opening to its loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Never, Self

import pika
import structlog
from pika.adapters.asyncio_connection import AsyncioConnection

from worker.domain.errors import MessagingUnavailable
from worker.messaging.channel import Channel
from worker.messaging.outages import explained
from worker.messaging.parameters import parameters
from worker.messaging.waiting import settle

CLOSE_SECONDS = 3.0
"""How long a farewell may take. RabbitMQ notices a closed socket just as well."""

PIECE_BYTES = 64 * 1024
"""What is larger leaves as it is, uncopied; of a piece that the socket takes only in part, pika copies the rest."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Server:
    """What answered: RabbitMQ, or something that speaks like it."""

    product: str
    version: str


class _Gathering(AsyncioConnection):  # type: ignore[misc]  # pika ships no types
    """
    pika's connection, which can hand several messages to the socket in one piece.

    By itself pika makes one system call a frame, three a message, each a packet for RabbitMQ to read.
    """

    _gathered: bytearray | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let what is sent in this block, which awaits nothing, leave at its end."""
        self._gathered = bytearray()
        try:
            yield
        finally:
            self._let_go(self._gathered)
            self._gathered = None

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._gathered is None:
            super()._adapter_emit_data(data)
        elif len(self._gathered) + len(data) > PIECE_BYTES:
            self._let_go(self._gathered)
            super()._adapter_emit_data(data)
        else:
            self._gathered += data

    def _let_go(self, gathered: bytearray) -> None:
        if gathered:
            super()._adapter_emit_data(bytes(gathered))
            gathered.clear()


class AmqpConnection:
    """A connection that is open until it is lost or closed. It never comes back: a Lifeline makes a new one."""

    def __init__(self, parameters: pika.URLParameters) -> None:
        loop = asyncio.get_running_loop()
        self._parameters = parameters
        self._opened: asyncio.Future[None] = loop.create_future()
        self._gone = asyncio.Event()
        self._loss: MessagingUnavailable | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._raw: Any = _Gathering(
            parameters,
            on_open_callback=lambda _connection: settle(self._opened, None),
            on_open_error_callback=lambda _connection, error: self._lost(error),
            on_close_callback=lambda _connection, error: self._lost(error),
            custom_ioloop=loop,
        )
        self._raw.add_on_connection_blocked_callback(self._blocked)
        self._raw.add_on_connection_unblocked_callback(self._unblocked)

    @classmethod
    async def open(cls, url: str, name: str) -> Self:
        """
        Connect once; `name` is shown by RabbitMQ's own tools.

        Raises MessagingUnavailable (AccessRefused for wrong credentials or virtual host) and WrongSetting for the URL.
        """
        connection = cls(parameters(url, name))
        try:
            await connection._opened
        except asyncio.CancelledError:
            await connection.close()
            raise
        return connection

    @property
    def server(self) -> Server:
        """Return what answered."""
        said = self._raw.server_properties or {}
        return Server(product=str(said.get("product", "unknown")), version=str(said.get("version", "unknown")))

    async def channel(self) -> Channel:
        """Open a channel."""
        channel = Channel(self._explain)
        await channel.open(self._raw)
        return channel

    async def until_flowing(self) -> None:
        """Wait while RabbitMQ takes no messages (memory or disk alarm). Raises MessagingUnavailable on loss."""
        await self._flowing.wait()
        if self._loss:
            raise self._loss

    async def until_lost(self) -> Never:
        """Wait for the end of the connection and raise its reason, MessagingUnavailable."""
        await self._gone.wait()
        raise self._loss or MessagingUnavailable("the connection was never open")

    def together(self) -> AbstractContextManager[None]:
        """Let what is published in a block that awaits nothing leave in as few pieces as possible, at its end."""
        gathering: AbstractContextManager[None] = self._raw.together()
        return gathering

    @property
    def flowing(self) -> bool:
        """Tell whether RabbitMQ takes messages, as far as it has said."""
        return self._flowing.is_set()

    async def close(self) -> None:
        """Close in good order, within a bound."""
        if not (self._raw.is_closed or self._raw.is_closing):
            self._raw.close()
        try:
            await asyncio.wait_for(self._gone.wait(), CLOSE_SECONDS)
        except TimeoutError:
            _log.debug("rabbitmq did not answer the farewell")

    def _explain(self, error: BaseException) -> MessagingUnavailable:
        return explained(error, self._parameters)

    def _lost(self, error: BaseException) -> None:
        self._loss = self._explain(error)
        if not self._opened.done():
            self._opened.set_exception(self._loss)
        self._flowing.set()
        self._gone.set()

    def _blocked(self, _connection: Any, frame: Any) -> None:
        _log.warning(
            "rabbitmq takes no messages",
            why=frame.method.reason,
            meaning="confirmations wait in the ledger until RabbitMQ's alarm (memory or disk) is cleared",
        )
        self._flowing.clear()

    def _unblocked(self, _connection: Any, _frame: Any) -> None:
        _log.info("rabbitmq takes messages again")
        self._flowing.set()


@asynccontextmanager
async def connected(url: str, name: str) -> AsyncIterator[AmqpConnection]:
    """Hold a connection for the length of a block. Raises like `AmqpConnection.open`."""
    connection = await AmqpConnection.open(url, name)
    try:
        yield connection
    finally:
        await connection.close()
