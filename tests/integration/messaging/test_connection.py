"""Opening a connection to something that is not quite a RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from worker.domain.errors import MessagingUnavailable
from worker.messaging.connection import AmqpConnection

Peer = asyncio.StreamWriter


@asynccontextmanager
async def listening(answer: bytes | None) -> AsyncIterator[str]:
    """Listen on a port: say `answer` and hang up, or with None say nothing at all; gives the URL."""
    peers: list[Peer] = []

    async def serve(_reader: asyncio.StreamReader, writer: Peer) -> None:
        peers.append(writer)
        if answer is not None:
            writer.write(answer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield f"amqp://somebody:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for peer in peers:
            peer.close()
        await server.wait_closed()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x01\x00\x00", b""])
async def test_what_is_not_rabbitmq_is_named_as_such(answer: bytes) -> None:
    async with listening(answer) as url:
        with pytest.raises(MessagingUnavailable, match=r"127\.0\.0\.1:\d+ does not ") as unavailable:
            await AmqpConnection.open(url, "test")

    assert "secret" not in str(unavailable.value)


async def test_a_silent_peer_is_given_up() -> None:
    async with listening(None) as url:
        with pytest.raises(MessagingUnavailable, match="does not answer"):
            await asyncio.wait_for(AmqpConnection.open(f"{url}?stack_timeout=0.5", "test"), 10)


async def test_opening_can_be_cancelled_and_leaves_nothing_behind() -> None:
    async with listening(None) as url:
        opening = asyncio.create_task(AmqpConnection.open(url, "test"))
        await asyncio.wait({opening}, timeout=0.2)

        opening.cancel()
        await asyncio.wait({opening}, timeout=5)

        assert opening.cancelled()
