"""The server writes its wall clock, which is hours from UTC and may be put forward or back at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk
from tests.acceptance.oracle import placed
from tests.acceptance.trader import Trader
from tests.fixtures.subscriber import Confirmation

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

PROMPTLY = timedelta(seconds=15)
AN_HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(
        ORDER_TIMEOUT_SECONDS="5",
        UNKNOWN_HORIZON_SECONDS="2",
        TERMINAL_CALL_TIMEOUT_SECONDS="2",
        MAX_TRADE_AGE_SECONDS="120",
    ) as desk:
        yield desk


@pytest.fixture(scope="module")
def trader(desk: Desk) -> Iterator[Trader]:
    trader = Trader(desk)
    yield trader
    trader.judge()


def _filled_before_it_was_told(one: Confirmation, *, within: timedelta) -> None:
    filled, told = (datetime.fromisoformat(one[name]) for name in ("filled_at", "timestamp"))
    assert told - within < filled <= told, f"{one['symbol']} filled at {filled}, told at {told}"


@pytest.mark.parametrize("hours", [3.0, -5.0])
def test_any_zone_will_do(desk: Desk, trader: Trader, hours: float) -> None:
    desk.worker.stop()
    desk.broker.set_clock(hours=hours)
    desk.start()

    run = trader.publish("EURUSD", "GBPUSD.slow", "USDJPY.hidden", "AUDUSD.lostreply")

    for one in trader.all_filled(run):
        _filled_before_it_was_told(one, within=PROMPTLY)


@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
def test_it_may_change_while_orders_wait(desk: Desk, trader: Trader, hours: int) -> None:
    # Given orders at the broker, one of them executed without its showing
    run = trader.publish("EURUSD.slow", "GBPUSD.hidden", "AUDUSD.race", "GBPUSD.slow")
    for sent in run:
        placed(desk, sent)

    desk.broker.move_clock(hours=hours)

    # Then those, and what comes after the change, are found in time and read by the clock of their time
    run += trader.publish("EURJPY", "GBPUSD", "EURUSD.lostreply", "AUDUSD.notsent", "USDJPY.slow")
    for one in trader.all_filled(run):
        _filled_before_it_was_told(one, within=PROMPTLY)


@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
def test_it_may_change_while_the_terminal_hangs(desk: Desk, trader: Trader, hours: int) -> None:
    # Given an order whose terminal has to be restarted
    run = trader.publish("USDJPY.hang")
    placed(desk, run[0])

    desk.broker.move_clock(hours=hours)

    # Then the new one knows nothing of the clock before, and takes no moment to come for the time of the fill
    (ended,) = trader.all_filled(run)
    _filled_before_it_was_told(ended, within=AN_HOUR + PROMPTLY)
