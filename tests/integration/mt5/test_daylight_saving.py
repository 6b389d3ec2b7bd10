"""The server's clock is put back or forward by an hour while orders are open: fills are told soon, with their times."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.fixtures.terminal import OpenTerminal, a_look, a_question, a_search, an_order, is_over, set_broker

SLOW_SECONDS = 2.0  # after which the simulated broker fills a slow order
OFFSET_SECONDS = 7200  # of the simulated server at first


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_fill_right_after_the_change_is_told_soon_and_at_its_time(
    own_terminal: OpenTerminal, hours: int
) -> None:
    # Given an open order, and polls as the pipeline makes them: each looks back five seconds behind the last one
    terminal, order = own_terminal.terminal, an_order("EURUSD.slow")
    await terminal.quote(a_question())
    await terminal.submit(order)
    sent_at, began = datetime.now(UTC), time.monotonic()

    # When the server's clock is moved before it is filled
    set_broker(own_terminal.book, server_offset_seconds=OFFSET_SECONDS + hours * 3600)

    # Then the fill is told within a second or two of being done, dated when it was done
    news = own_terminal.news_of(order)
    while not is_over(news):
        poll = await terminal.poll(a_look(since=timedelta(seconds=5)))
        news.orders += poll.orders
        news.deals += poll.deals
        assert time.monotonic() - began < SLOW_SECONDS + 5
        await asyncio.sleep(0.2)
    (deal,) = news.deals
    assert sent_at < deal.time <= datetime.now(UTC)

    # Then a search dates it the same
    search = await terminal.search(a_search("EURUSD.slow"))
    assert [found.time for found in search.deals] == [deal.time]
