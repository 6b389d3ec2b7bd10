"""Acknowledgements: each delivery once, after its handler, however few frames they take."""

import asyncio
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from worker.domain.message import IncomingMessage
from worker.messaging.channel import Channel
from worker.messaging.deliveries import Deliveries


class Wire:
    """Stands for a channel: knows what RabbitMQ would still hold as unacknowledged."""

    def __init__(self, tags: int) -> None:
        self.unacknowledged = set(range(1, tags + 1))
        self.frames = 0

    def acknowledge(self, tag: int, *, multiple: bool = False) -> None:
        assert tag in self.unacknowledged, "RabbitMQ closes a channel over an unknown delivery"
        self.unacknowledged -= {other for other in self.unacknowledged if other <= tag} if multiple else {tag}
        self.frames += 1

    def give_back(self, tag: int) -> None:
        self.unacknowledged.remove(tag)


class Story:
    """Deliveries whose handlers end when they are told to."""

    def __init__(self, tags: int) -> None:
        self.wire = Wire(tags)
        self.gates = {str(tag): asyncio.Event() for tag in range(1, tags + 1)}
        self.running: set[asyncio.Task[None]] = set()
        self.deliveries = Deliveries(cast("Channel", self.wire), "queue", self._handle, self.running)
        for tag in range(1, tags + 1):
            self.deliveries._arrived(tag, IncomingMessage(body=b"", message_id=str(tag)))

    async def _handle(self, message: IncomingMessage) -> None:
        await self.gates[message.message_id or ""].wait()

    async def finish(self, tags: set[int]) -> None:
        for tag in tags:
            self.gates[str(tag)].set()
        for _ in range(5):
            await asyncio.sleep(0)


@given(st.lists(st.sets(st.integers(1, 12), max_size=6), max_size=8))
def test_exactly_the_finished_ones_are_acknowledged_in_any_order(groups: list[set[int]]) -> None:
    async def story() -> None:
        told = Story(12)
        finished: set[int] = set()
        for group in groups:
            await told.finish(group)
            finished |= group
            assert told.wire.unacknowledged == set(range(1, 13)) - finished
        await told.finish(set(range(1, 13)))
        assert told.wire.unacknowledged == set()

    asyncio.run(story())


async def test_handlers_that_end_together_share_one_frame() -> None:
    told = Story(500)

    await told.finish(set(range(1, 501)))

    assert told.wire.frames == 1


async def test_what_arrives_while_nothing_is_wanted_goes_back_at_once() -> None:
    told = Story(1)
    await told.deliveries.pause()
    told.wire.unacknowledged.add(2)

    told.deliveries._arrived(2, IncomingMessage(body=b"", message_id="2"))

    assert told.wire.unacknowledged == {1}
    await told.finish({1})
    assert told.wire.unacknowledged == set()


async def test_a_straggler_holds_up_nobodys_acknowledgement() -> None:
    told = Story(10)

    await told.finish(set(range(2, 11)))

    assert told.wire.unacknowledged == {1}
    await told.finish({1})
