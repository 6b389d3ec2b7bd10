"""The terminal hangs, dies, loses its history or its connection: the trades end truly, and only once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import START_SECONDS, Desk, eventually
from tests.acceptance.oracle import orders_of, placed
from tests.acceptance.runs import expected_statuses
from tests.acceptance.trader import Trader

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

CALL_TIMEOUT = 2.0
HORIZON = 2.0


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(
        ORDER_TIMEOUT_SECONDS="6",
        UNKNOWN_HORIZON_SECONDS=str(HORIZON),
        TERMINAL_CALL_TIMEOUT_SECONDS=str(CALL_TIMEOUT),
        MAX_TRADE_AGE_SECONDS="120",
        MAX_RETRIES="6",  # a send that was cut off counts as one
    ) as desk:
        yield desk


@pytest.fixture(scope="module")
def trader(desk: Desk) -> Iterator[Trader]:
    trader = Trader(desk)
    yield trader
    trader.judge()


def _session(desk: Desk) -> int:
    """Wait until there is a session, and return its process's number."""
    eventually(lambda: desk.worker.sessions, "no session is opened", START_SECONDS)
    return desk.worker.sessions[0]


def _kill_session(desk: Desk) -> None:
    os.kill(_session(desk), SIGKILL)


class TestHangs:
    """A call that does not return costs the session's process, and nothing else."""

    def test_a_terminal_that_stops_while_it_is_watched_is_replaced(self, desk: Desk, trader: Trader) -> None:
        # Given an order at the broker that is filled while nobody can look
        run = trader.publish("EURUSD.slow")
        placed(desk, run[0])
        session = _session(desk)

        os.kill(session, SIGSTOP)

        eventually(lambda: session not in desk.worker.sessions, "a session that hangs is not ended")
        trader.all_filled([*run, *trader.publish("GBPUSD")])

    def test_sends_that_hang_are_found_or_sent_again(self, trader: Trader) -> None:
        run = trader.publish("EURUSD.hang", "GBPUSD.hangnot", "USDJPY")

        ends = trader.all_filled(run)

        assert [one["attempts"] for one in ends] == [1, 2, 1]

    def test_a_terminal_that_hangs_at_its_start_may_come_to_itself(self, desk: Desk, trader: Trader) -> None:
        dead = _session(desk)
        os.kill(dead, SIGKILL)
        eventually(lambda: set(desk.worker.sessions) - {dead}, "no other session is opened", START_SECONDS)
        successor = _session(desk)

        os.kill(successor, SIGSTOP)
        run = trader.publish("EURUSD", "GBPUSD")
        time.sleep(CALL_TIMEOUT)  # nothing happens, and that is the point
        assert [orders_of(desk, sent) for sent in run] == [[], []]
        os.kill(successor, SIGCONT)

        trader.all_filled(run)

    def test_a_terminal_that_hangs_at_the_workers_start_may_be_ended(self, desk: Desk, trader: Trader) -> None:
        desk.worker.stop()
        run = trader.publish("EURUSD", "GBPUSD")
        desk.worker.start()
        session = _session(desk)
        os.kill(session, SIGSTOP)
        time.sleep(CALL_TIMEOUT)  # as above
        assert desk.worker.runs
        assert [orders_of(desk, sent) for sent in run] == [[], []]

        os.kill(session, SIGKILL)

        trader.all_filled(run)


class TestDeaths:
    """The session's process is killed."""

    def test_killed_while_idle_it_is_replaced(self, desk: Desk, trader: Trader) -> None:
        _kill_session(desk)

        trader.all_filled(trader.publish("EURUSD"))

    def test_killed_in_the_middle_of_work_it_costs_no_trade(self, desk: Desk, trader: Trader) -> None:
        run = trader.run(40)
        for _ in range(3):
            seen = len(desk.downstream.received)
            desk.downstream.wait_for_count(seen + 3)
            _kill_session(desk)

        ends = trader.all_ended(run)

        for sent, ended in zip(run, ends, strict=True):
            assert ended["status"] in expected_statuses(sent.approved["symbol"])

    def test_an_order_that_is_hidden_while_the_worker_dies_is_filled_once(self, desk: Desk, trader: Trader) -> None:
        run = trader.publish("EURUSD.hidden", "GBPUSD.hidden")
        for sent in run:
            placed(desk, sent)

        desk.worker.kill()
        desk.start()

        ends = trader.all_filled(run)
        assert [one["attempts"] for one in ends] == [1, 1]


class TestBlindness:
    """Not found is not proof."""

    def test_nothing_is_proved_absent_from_a_history_that_is_not_there(self, desk: Desk, trader: Trader) -> None:
        # Given sends without a true answer, to a terminal that has lost its history
        with desk.broker.history_lost():
            run = trader.publish("EURUSD.lostreply", "GBPUSD.timeout", "AUDUSD.notsent", "USDJPY.hang")
            for sent in (run[0], run[1], run[3]):
                placed(desk, sent)
            # When it finds nothing for longer than the horizon
            time.sleep(HORIZON + 2)  # nothing happens, and that is the point
            assert [desk.downstream.all_of(sent.correlation) for sent in run] == [[], [], [], []]
            assert [len(orders_of(desk, sent)) for sent in run] == [1, 1, 0, 1]

        # Then what was executed is found once the history is back, and what was not is sent again
        ends = trader.all_filled(run)
        assert [one["attempts"] for one in ends] == [1, 1, 2, 1]

    def test_an_accepted_order_is_not_given_up_while_the_history_is_away(self, desk: Desk, trader: Trader) -> None:
        run = trader.publish("EURUSD.slow", "GBPUSD.race")
        for sent in run:
            placed(desk, sent)

        with desk.broker.history_lost():
            _kill_session(desk)
            eventually(lambda: orders_of(desk, run[1])[0].deals, "the order that races is not cancelled in time")
            time.sleep(HORIZON + 1)  # as above

        trader.all_filled(run)

    def test_an_order_that_shows_up_late_is_not_sent_again(self, desk: Desk, trader: Trader) -> None:
        # Given a send that hangs, and whose order the broker shows to nobody for a while
        run = trader.publish("EURUSD.hang")
        desk.broker.hide(placed(desk, run[0]), seconds=CALL_TIMEOUT + HORIZON)

        (ended,) = trader.all_filled(run)

        assert ended["attempts"] == 1

    def test_a_worker_that_starts_without_the_history_waits_for_it(self, desk: Desk, trader: Trader) -> None:
        run = trader.publish("EURUSD.slow", "GBPUSD.hang")
        for sent in run:
            placed(desk, sent)
        desk.worker.kill()

        with desk.broker.history_lost():
            desk.worker.start()
            run += trader.publish("USDJPY")
            time.sleep(HORIZON + 2)  # as above
            assert orders_of(desk, run[2]) == []
            assert [desk.downstream.all_of(sent.correlation) for sent in run] == [[], [], []]

        trader.all_filled(run)


def test_while_the_terminal_is_disconnected_trades_wait(desk: Desk, trader: Trader) -> None:
    before = trader.publish("EURUSD.slow", "GBPUSD.timeout", "AUDUSD.notsent")
    placed(desk, before[0])

    with desk.broker.disconnected():
        after = trader.publish("USDJPY", "EURJPY.slow")
        time.sleep(HORIZON + 1)  # nothing happens, and that is the point
        assert [orders_of(desk, sent) for sent in after] == [[], []]

    trader.all_filled([*before, *after])
