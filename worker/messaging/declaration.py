"""Makes RabbitMQ hold the topology, or says in one sentence each what it lacks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from worker.messaging.channel import Channel
from worker.messaging.connection import AmqpConnection
from worker.messaging.errors import ChannelClosed
from worker.messaging.topology import Binding, Exchange, Queue, Topology

Thing = Exchange | Queue | Binding


async def declare(connection: AmqpConnection, wanted: Topology) -> list[str]:
    """
    Create what is missing; return what is wrong all the same, a sentence each, nothing when all is well.

    Where this user may not create something, its existence is checked instead: a worker with least privilege finds
    what an operator has imported. A binding that may not be created is taken for granted once its ends exist.
    """
    return await _each(connection, [*wanted.exchanges, *wanted.queues, *wanted.bindings], _declare_or_find)


async def check(connection: AmqpConnection, wanted: Topology) -> list[str]:
    """Create nothing; return what is missing, a sentence each. Bindings cannot be seen over AMQP."""
    return await _each(connection, [*wanted.exchanges, *wanted.queues], _find)


Step = Callable[[AmqpConnection, Thing], Awaitable[None]]


async def _each(connection: AmqpConnection, things: Sequence[Thing], step: Step) -> list[str]:
    problems = []
    for thing in things:
        try:
            await step(connection, thing)
        except ChannelClosed as error:
            problems.append(_sentence(thing, error))
    return problems


async def _declare_or_find(connection: AmqpConnection, thing: Thing) -> None:
    try:
        await _on_a_channel_of_its_own(connection, thing, _declare)
    except ChannelClosed as error:
        if not error.forbidden:
            raise
        await _find(connection, thing)


async def _find(connection: AmqpConnection, thing: Thing) -> None:
    await _on_a_channel_of_its_own(connection, thing, _look)


async def _on_a_channel_of_its_own(
    connection: AmqpConnection, thing: Thing, act: Callable[[Channel, Thing], Awaitable[None]]
) -> None:
    """RabbitMQ closes the channel on every refusal, so that no two questions may share one."""
    channel = await connection.channel()
    await act(channel, thing)
    await channel.close()


async def _declare(channel: Channel, thing: Thing) -> None:
    match thing:
        case Exchange(name, kind, arguments):
            await channel.declare_exchange(name, kind, arguments)
        case Queue(name, arguments):
            await channel.declare_queue(name, arguments)
        case Binding(exchange, queue, routing_key):
            await channel.bind(queue, exchange, routing_key)


async def _look(channel: Channel, thing: Thing) -> None:
    match thing:
        case Exchange(name):
            await channel.find_exchange(name)
        case Queue(name):
            await channel.find_queue(name)


def _sentence(thing: Thing, error: ChannelClosed) -> str:
    name = _name(thing)
    if error.not_found:
        return f"{name} is missing: run `mt5-worker topology declare` as a user who may, or import `topology export`"
    if error.forbidden:
        return f"{name} may not be used by this user: grant the permissions that `topology export` lists"
    if error.mismatch:
        return (
            f"{name} exists with other arguments ({error.text}): "
            "delete it when it is empty and run `mt5-worker topology declare` again"
        )
    return f"{name}: {error}"


def _name(thing: Thing) -> str:
    match thing:
        case Exchange(name):
            return f"exchange {name}"
        case Queue(name):
            return f"queue {name}"
        case Binding(exchange, queue, routing_key):
            return f"binding {exchange} -> {queue} ({routing_key or 'all'})"
