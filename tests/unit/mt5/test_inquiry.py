"""A question that was put to several sessions: the first answer counts, and nothing of the others is left behind."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import Future
from typing import Any

import pytest

from worker.domain.errors import TerminalUnavailable
from worker.mt5.inquiry import Inquiry


class BusyLane:
    """A lane that is taken for stuck as soon as it has been asked, and answers when the test says so."""

    takes_part = sees_account = True

    def __init__(self) -> None:
        self.is_at_hand = True
        self.answer: Future[str] = Future()

    def put(self, *_: object) -> Future[str]:
        self.is_at_hand = False
        self.answer.set_running_or_notify_cancel()
        return self.answer


@pytest.mark.parametrize("failing", [0, 1])
async def test_a_failure_that_comes_together_with_the_answer_is_not_missed(
    failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.mt5.inquiry.STUCK_SECONDS", 0.01)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    # Given a question that two sessions hang over
    lanes: Any = [BusyLane(), BusyLane()]
    asking = asyncio.create_task(Inquiry[str](lanes, str, light=True).answer())
    async with asyncio.timeout(5):
        while any(lane.is_at_hand for lane in lanes):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.001)

    # When both are done in one moment of this loop, one of them with a failure
    lanes[failing].answer.set_exception(TerminalUnavailable("the connection to the terminal is lost"))
    lanes[1 - failing].answer.set_result("it is well")
    assert await asking == "it is well"

    # Then nobody complains of an error that was never looked at
    del asking, lanes
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
