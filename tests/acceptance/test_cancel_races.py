"""An order that is not filled in time is cancelled by us, and whatever crosses that cancel is told as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from signal import SIGKILL

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.acceptance.oracle import check_execution, check_run, exactly, orders_of, placed
from tests.fixtures.rpm import SHORT, Sent, approval
from tests.fixtures.subscriber import Confirmation

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

ORDER_TIMEOUT = 3.0


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(
        ORDER_TIMEOUT_SECONDS=str(ORDER_TIMEOUT),
        UNKNOWN_HORIZON_SECONDS="1",
        TERMINAL_CALL_TIMEOUT_SECONDS="2",
        MAX_TRADE_AGE_SECONDS="120",
    ) as desk:
        yield desk


class Stories:
    """Trades whose orders wait at the broker together, each with a fate of its own in the hand of the broker."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.sent: dict[str, Sent] = {}

    def begin(self) -> None:
        """Publish all, then let the broker deal, one order after the other as they are accepted."""
        publish, broker = self.desk.publish, self.desk.broker
        self.sent = {
            "untouched": publish(approval("EURUSD.pending", 50_000.0)),
            "partly": publish(approval("GBPUSD.pending", 50_000.0)),
            "partly sold": publish(approval("XAUUSD.pending", 50.0, SHORT)),
            "race": publish(approval("AUDUSD.race", 50_000.0)),
            "partly, then race": publish(approval("USDJPY.race", 50_000.0)),
            "late": publish(approval("EURUSD.late", 50_000.0)),
            "partly, then late": publish(approval("GBPUSD.late", 50_000.0)),
            "partly, then some late": publish(approval("AUDUSD.pending", 50_000.0)),
            "rain": publish(approval("EURJPY.pending", 50_000.0)),
            "by hand": publish(approval("USDJPY.pending", 50_000.0)),
            "partly, then by hand": publish(approval("BTCUSD.pending", 0.5)),
            "by hand, then late": publish(approval("ETHUSD.pending", 5.0)),
        }
        ticket = {name: placed(self.desk, sent) for name, sent in self.sent.items()}
        for name in ("partly", "partly, then race", "partly, then late", "partly, then some late"):
            broker.deal(ticket[name], 0.1)
        broker.deal(ticket["partly, then some late"], 0.15, after=ORDER_TIMEOUT + 3)
        broker.deal(ticket["partly sold"], 0.2)
        broker.deal(ticket["partly sold"], 0.1, after=0.4)
        for number in range(10):
            broker.deal(ticket["rain"], 0.05, after=ORDER_TIMEOUT - 0.5 + number / 10)
        broker.cancel(ticket["by hand"])
        broker.deal(ticket["partly, then by hand"], 0.2)
        eventually(lambda: orders_of(self.desk, self.sent["partly, then by hand"])[0].deals, "the part is not dealt")
        broker.cancel(ticket["partly, then by hand"])
        broker.cancel(ticket["by hand, then late"])
        broker.deal(ticket["by hand, then late"], 5.0, after=3)

    def told(self, name: str, *, version: int = 1) -> Confirmation:
        """Wait for the first confirmation of a story, or a later version of it."""
        self.desk.confirmation(self.sent[name], version=version)
        versions = self.desk.downstream.all_of(self.sent[name].correlation)
        return next(one for one in versions if one["version"] == version)

    def rained(self) -> Confirmation:
        """Wait until the last of the deals that rain on one order is told."""
        rain = self.sent["rain"].correlation
        return self.desk.downstream.wait_for_any(lambda one: one.correlation_id == rain and one["status"] == "filled")

    def as_booked(self, confirmed: Confirmation, symbol: str) -> None:
        """Hold a confirmation that nothing has followed against the book."""
        check_execution(confirmed, self.desk.book.order(confirmed["order_id"]), symbol=symbol)


@pytest.fixture(scope="module")
def stories(desk: Desk) -> Stories:
    stories = Stories(desk)
    stories.begin()
    return stories


def test_an_order_without_a_deal_expires(stories: Stories) -> None:
    assert stories.told("untouched").outcome == ("expired", "order_timeout")


@pytest.mark.parametrize(
    ("story", "symbol", "units", "deals"), [("partly", "GBPUSD", 10_000, 1), ("partly sold", "XAUUSD", 30, 2)]
)
def test_what_was_dealt_before_the_cancel_is_a_partial_fill(
    stories: Stories, story: str, symbol: str, units: float, deals: int
) -> None:
    confirmed = stories.told(story)

    assert (confirmed.outcome, confirmed["final"]) == (("partially_filled", None), True)
    assert (confirmed["executed_units"], len(confirmed["deals"])) == (exactly(units), deals)
    stories.as_booked(confirmed, symbol)


@pytest.mark.parametrize(("story", "symbol", "deals"), [("race", "AUDUSD", 1), ("partly, then race", "USDJPY", 2)])
def test_a_fill_in_the_moment_of_the_cancel_is_a_fill(stories: Stories, story: str, symbol: str, deals: int) -> None:
    confirmed = stories.told(story)

    assert (confirmed.outcome, confirmed["version"], len(confirmed["deals"])) == (("filled", None), 1, deals)
    assert confirmed["executed_units"] == exactly(50_000)
    stories.as_booked(confirmed, symbol)


def test_a_deal_after_the_end_makes_the_next_version(stories: Stories) -> None:
    first, second = stories.told("late"), stories.told("late", version=2)

    assert first.outcome == ("expired", "order_timeout")
    assert (second.outcome, second["executed_units"]) == (("filled", None), exactly(50_000))
    assert second["execution_id"] == first["execution_id"]
    stories.as_booked(second, "EURUSD")


@pytest.mark.parametrize(
    ("story", "symbol", "status", "units"),
    [
        ("partly, then late", "GBPUSD", "filled", 50_000),
        ("partly, then some late", "AUDUSD", "partially_filled", 25_000),
    ],
)
def test_a_partial_fill_is_corrected_by_what_follows_it(
    stories: Stories, story: str, symbol: str, status: str, units: float
) -> None:
    first, second = stories.told(story), stories.told(story, version=2)

    assert (first.outcome, first["executed_units"]) == (("partially_filled", None), exactly(10_000))
    assert (second.outcome, second["executed_units"]) == ((status, None), exactly(units))
    assert [deal["deal_id"] for deal in second["deals"]][:1] == [deal["deal_id"] for deal in first["deals"]]
    stories.as_booked(second, symbol)


def test_deals_that_rain_on_the_cancel_are_all_told_in_the_end(stories: Stories) -> None:
    last = stories.rained()

    assert (last["executed_units"], len(last["deals"])) == (exactly(50_000), 10)
    stories.as_booked(last, "EURJPY")
    versions = stories.desk.downstream.all_of(stories.sent["rain"].correlation)
    executed = [Decimal(str(one["executed_lots"])) for one in versions]
    assert executed == sorted(executed), "a later version never knows less"


def test_an_order_cancelled_by_somebody_else_is_told_so(stories: Stories) -> None:
    confirmed = stories.told("by hand")

    assert confirmed.outcome == ("cancelled", "broker_cancelled")
    assert (confirmed["executed_units"], confirmed["deals"]) == (0, [])
    assert confirmed["rejection_details"]


def test_what_was_dealt_before_somebody_else_cancelled_counts(stories: Stories) -> None:
    confirmed = stories.told("partly, then by hand")

    assert (confirmed.outcome, confirmed["executed_units"]) == (("partially_filled", None), exactly(0.2))
    stories.as_booked(confirmed, "BTCUSD")


def test_a_deal_after_somebody_elses_cancel_corrects_it_too(stories: Stories) -> None:
    first, second = stories.told("by hand, then late"), stories.told("by hand, then late", version=2)

    assert first.outcome == ("cancelled", "broker_cancelled")
    assert second.outcome == ("filled", None)
    stories.as_booked(second, "ETHUSD")


def test_every_story_ends_with_one_order_and_the_truth(stories: Stories) -> None:
    for name in stories.sent:
        stories.told(name, version=2 if "late" in name else 1)
    stories.rained()

    check_run(stories.desk, list(stories.sent.values()))


@pytest.fixture
def own_desk(new_desk: DeskMaker) -> Iterator[Desk]:
    """Open a desk for faults that stop everything."""
    with new_desk(ORDER_TIMEOUT_SECONDS="1", UNKNOWN_HORIZON_SECONDS="1", TERMINAL_CALL_TIMEOUT_SECONDS="2") as desk:
        yield desk


def test_a_cancel_that_the_terminal_never_answers_is_sent_again(own_desk: Desk) -> None:
    # Given a part of an order, and a server that freezes before the cancel can reach it
    sent = own_desk.publish(approval("EURUSD.pending", 50_000.0))
    ticket = placed(own_desk, sent)
    own_desk.broker.deal(ticket, 0.2)
    eventually(lambda: orders_of(own_desk, sent)[0].deals, "the part is not dealt")
    (session,) = own_desk.worker.sessions

    # When the cancel hangs until the session is given up
    with own_desk.broker.frozen():
        eventually(lambda: session not in own_desk.worker.sessions, "a session that hangs is not ended")

    # Then another session cancels
    confirmed = own_desk.confirmation(sent)
    assert (confirmed.outcome, confirmed["executed_units"]) == (("partially_filled", None), exactly(20_000))
    check_run(own_desk, [sent])


def test_sessions_that_die_around_the_cancel_leave_no_order_open(own_desk: Desk) -> None:
    sent = [own_desk.publish(approval("EURUSD.pending", 10_000.0 * size)) for size in (1, 2, 3)]
    sent += [own_desk.publish(approval("GBPUSD.race", 10_000.0 * size)) for size in (1, 2, 3)]
    for one in sent:
        placed(own_desk, one)

    # When five sessions are killed, each as soon as it is there
    killed: set[int] = set()
    while len(killed) < 5:
        eventually(lambda: set(own_desk.worker.sessions) - killed, "no other session is opened")
        (session,) = set(own_desk.worker.sessions) - killed
        os.kill(session, SIGKILL)
        killed.add(session)

    for one in sent:
        expected = ("filled", None) if "race" in one.approved["symbol"] else ("expired", "order_timeout")
        assert own_desk.ended(one, timeout=60).outcome == expected
    check_run(own_desk, sent)
