"""Three terminals of one account: one answers questions, two send. One that hangs is the trouble of its own symbols."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.acceptance.trader import Trader
from worker.mt5.terminal import share_of

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

CALL_LIMIT = 4.0
LATE = 1.5  # seconds from publishing to confirmation: slow on a busy machine, quick next to a hang
HANGING = "EURUSD.hang"
LOST = ("EURUSD.notsent", "GBPUSD.notsent", "USDJPY.hangnot")
QUEUED = 70  # trades behind the one that hangs; more than ever fly at once


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    sessions = '{"asks": {}, "one": {}, "two": {}}'
    with new_desk(
        MT5_SESSIONS=sessions, TERMINAL_CALL_TIMEOUT_SECONDS=f"{CALL_LIMIT:g}", UNKNOWN_HORIZON_SECONDS="2"
    ) as desk:
        yield desk


@pytest.fixture(scope="module")
def trader(desk: Desk) -> Iterator[Trader]:
    trader = Trader(desk)
    yield trader
    trader.judge()


def _symbols(*, with_the_hanging_one: bool) -> list[str]:
    names = ("EURUSD", "GBPUSD", "AUDUSD", "EURJPY", "USDJPY")
    return [name for name in names if (share_of(name, 2) == share_of(HANGING, 2)) is with_the_hanging_one]


def _seconds_each(trader: Trader, symbols: Sequence[str], count: int) -> list[float]:
    """Trade one after the other; return the seconds that each took from publishing to confirmation."""
    taken = []
    for number in range(count):
        began = time.monotonic()
        trader.all_filled(trader.publish(symbols[number % len(symbols)]))
        taken.append(time.monotonic() - began)
    return taken


def _said(seconds: Sequence[float]) -> str:
    return f"{len(seconds)} trades, median {statistics.median(seconds):.3f} s, slowest {max(seconds):.3f} s"


def test_all_terminals_are_shown_with_what_they_do(desk: Desk) -> None:
    def duties() -> dict[str, str]:
        (status,) = desk.command("status", "--json").json
        return {name: one["duty"] for name, one in status["worker_report"].get("terminal", {}).items()}

    eventually(lambda: duties() == {"asks": "answers", "one": "sends", "two": "sends"}, "status shows other terminals")
    shown = desk.command("status").said
    assert all(f"terminal {name}" in shown for name in ("asks", "one", "two"))


def test_a_hanging_terminal_holds_up_its_own_symbols_alone(trader: Trader) -> None:
    mine, others = _symbols(with_the_hanging_one=True), _symbols(with_the_hanging_one=False)
    before = _seconds_each(trader, others, 12)

    # Given a send that never returns, and a long queue behind it in the same terminal
    (hanging,) = trader.publish(HANGING)
    time.sleep(0.3)
    queued = trader.publish(*(mine[number % len(mine)] for number in range(QUEUED)))
    began = time.monotonic()

    # Then the other terminal's trades go on as before, all the while it hangs
    during = _seconds_each(trader, others, 12)
    assert time.monotonic() - began < CALL_LIMIT - 0.5, "too slow a machine to measure anything"
    print(f"without a hang: {_said(before)}\nwith a hang:    {_said(during)}")  # noqa: T201 - the figures
    assert max(during) < LATE

    # And when it has been ended, its own are sent, in the order of their arrival, and the one that hung is found
    trader.all_filled([hanging, *queued])


def test_trades_of_one_symbol_stay_in_order_whichever_terminal_sends_them(trader: Trader) -> None:
    symbols = ("EURUSD", "GBPUSD", "USDJPY")
    sent = trader.publish(*(symbols[number % 3] for number in range(45)))
    ends = trader.all_filled(sent)
    for symbol in symbols:
        orders = [int(end["order_id"]) for end in ends if end["symbol"] == symbol]
        assert orders == sorted(orders)


def test_what_a_sending_terminal_lost_is_proved_absent_and_sent_again(trader: Trader) -> None:
    # One whose connection broke tells so by itself, one that hung by its end; no search asks them.
    ends = trader.all_filled(trader.publish(*LOST))
    assert [end["attempts"] for end in ends] == [2] * len(LOST)
