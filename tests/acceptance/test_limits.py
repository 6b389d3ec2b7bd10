"""Pre-trade limits hold for trades that come all at once, and for a worker that is started anew."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk
from tests.fixtures.rpm import SHORT, JsonObject, approval
from tests.fixtures.subscriber import Confirmation

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

FILLED, REFUSED = ("filled", None), ("rejected", "limit_exceeded")
A_MINUTE, ALIKE = 10, 3


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(
        MAX_LOTS_PER_ORDER="1",
        MAX_LOTS_PER_ORDER_BY_SYMBOL='{"XAUUSD": 0.5}',
        MAX_ORDERS_PER_MINUTE=str(A_MINUTE),
        MAX_REPEATED_ORDERS=str(ALIKE),
        REPEAT_WINDOW_SECONDS="3600",
    ) as desk:
        yield desk


def test_the_limits_hold_for_bursts_and_after_a_restart(desk: Desk) -> None:
    # Given orders that are too large: they are refused by their own limit, the symbol's before the general one
    large, gold = _all_at_once(desk, [approval("EURUSD", 101_000.0), approval("XAUUSD", 51.0)])
    assert (large.outcome, large["rejection_details"]) == (REFUSED, "1.01 lots of EURUSD, MAX_LOTS_PER_ORDER allows 1")
    assert gold.outcome == REFUSED
    assert gold["rejection_details"] == "0.51 lots of XAUUSD, MAX_LOTS_PER_ORDER_BY_SYMBOL allows 0.5"

    # When the same trade comes eight times at once, then no more of them are sent than may be
    alike = _all_at_once(desk, [approval("GBPUSD", 10_000.0, SHORT) for _ in range(8)])
    assert sorted(end.outcome for end in alike) == [FILLED] * ALIKE + [REFUSED] * (8 - ALIKE)
    refused = next(end for end in alike if end.outcome == REFUSED)
    assert refused["rejection_details"] == (
        "MAX_REPEATED_ORDERS is 3, and as many orders to sell 10000 GBPUSD were written ahead within the last 3600 s "
        "(REPEAT_WINDOW_SECONDS)"
    )

    # And when fifty different ones come at once, then no more than are left of the minute's
    others = _all_at_once(
        desk, [approval(symbol, 1_000.0 * n) for n in range(1, 26) for symbol in ("EURUSD", "USDJPY")]
    )
    assert [end.outcome for end in others].count(FILLED) == A_MINUTE - ALIKE
    assert {end.outcome for end in others} == {FILLED, REFUSED}
    assert len(desk.book.traded()) == A_MINUTE

    # When the worker is killed, then the next one knows what was sent before it
    desk.worker.kill()
    desk.start()
    assert desk.confirmed(approval("GBPUSD", 10_000.0, SHORT)).outcome == REFUSED
    assert len(desk.book.traded()) == A_MINUTE


def test_the_worker_says_which_limits_are_on(desk: Desk) -> None:
    ready = [json.loads(line) for line in desk.worker.log.splitlines() if '"worker_ready"' in line]

    assert ready[0]["limits"] == {
        "MAX_LOTS_PER_ORDER": "1",
        "MAX_LOTS_PER_ORDER_BY_SYMBOL": "XAUUSD 0.5",
        "MAX_ORDERS_PER_MINUTE": "10",
        "MAX_REPEATED_ORDERS": "3 within 3600 s",
    }


def _all_at_once(desk: Desk, messages: list[JsonObject]) -> list[Confirmation]:
    """Publish all, then wait for the end of each."""
    sent = [desk.publish(message) for message in messages]
    return [desk.ended(one) for one in sent]
