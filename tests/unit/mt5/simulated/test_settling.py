"""Nobody has to look for something to happen: when one looks, and how often, makes no difference to the book."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.mt5.simulated.dealer import (
    BUY_LIMIT,
    BUY_STOP,
    DEAL,
    MODIFY,
    OPENED,
    PENDING,
    REMOVE,
    RISING,
    SELL_STOP_LIMIT,
    SLTP,
    TICK_MS,
    Dealer,
)
from worker.mt5.simulated.dealing import levels
from worker.mt5.simulated.symbols import SYMBOLS

FIRST_TICKET = 80_000_001
SPECIFIED = 2
SERVER_OFFSET = 7200


class Step(NamedTuple):
    """A request some time after the one before, with prices so many points from the market."""

    seconds: float
    action: int
    symbol: str
    kind: int
    points: int
    sl: int
    tp: int
    number: int  # of an earlier order
    lasts: int | None


steps = st.builds(
    Step,
    seconds=st.floats(0, 900),
    action=st.sampled_from([DEAL, PENDING, PENDING, PENDING, SLTP, MODIFY, REMOVE]),
    symbol=st.sampled_from(["EURUSD", "XAUUSD", "ETHUSD", "ETHUSD.slow", "ETHUSD.partial"]),
    kind=st.integers(0, SELL_STOP_LIMIT),
    points=st.integers(0, 400),
    sl=st.integers(0, 500),
    tp=st.integers(0, 500),
    number=st.integers(0, 5),
    lasts=st.none() | st.integers(1, 3600),
)


@contextmanager
def a_dealer(*, netting: bool = False) -> Iterator[Dealer]:
    dealer = Dealer(Path(":memory:"))
    with closing(dealer.book):
        dealer.book.change("UPDATE meta SET margin_mode = ?", (0 if netting else 2,))
        yield dealer


def request(dealer: Dealer, step: Step) -> dict[str, Any]:
    """Write a step as a request at the market of the moment."""
    instrument = SYMBOLS[step.symbol].instrument
    touch = dealer.quote(step.symbol).touch(step.kind)
    up = 1 if step.kind in RISING else -1

    def at(points: int) -> float:
        return round(touch + points * instrument.point, instrument.digits)

    loss = -1 if step.kind % 2 == 0 else 1
    levels = {"sl": loss * step.sl, "tp": -loss * step.tp}
    return {
        "action": step.action,
        "symbol": step.symbol if step.action in (DEAL, PENDING) else "",
        "volume": 0.5,
        "type": step.kind % 2 if step.action == DEAL else step.kind,
        "price": at(up * step.points),
        "stoplimit": at(up * (step.points - 30)),
        "order": FIRST_TICKET + step.number,
        "position": FIRST_TICKET + step.number if step.action == SLTP else 0,
        "type_time": 0 if step.lasts is None else SPECIFIED,
        "expiration": dealer.now // 1000 + SERVER_OFFSET + (step.lasts or 0),
        **{name: at(points) for name, points in levels.items() if points},
    }


def a_day(script: list[Step], looks: int, *, netting: bool) -> list[list[dict[str, Any]]]:
    """Play a script on a new book, with so many looks before each request and at the end; return all its rows."""
    with a_dealer(netting=netting) as dealer:
        for step in script:
            until = dealer.now + round(step.seconds * 1000)
            look(dealer, until, looks)
            dealer.send(**request(dealer, step))
        look(dealer, OPENED + 86_400_000, looks)
        return [dealer.orders(), dealer.deals(), dealer.positions()]


def look(dealer: Dealer, until: int, times: int) -> None:
    since = dealer.now
    for number in range(1, times + 1):
        dealer.now = since + (until - since) * number // times
        dealer.settle()
    dealer.now = until


@given(script=st.lists(steps, max_size=8), looks=st.integers(2, 40), netting=st.booleans())
def test_one_late_look_leaves_the_same_book_as_many_early_ones(
    script: list[Step], looks: int, *, netting: bool
) -> None:
    assert a_day(script, 1, netting=netting) == a_day(script, looks, netting=netting)


@settings(max_examples=20)
@given(script=st.lists(steps, max_size=8), minutes=st.integers(10, 300))
def test_how_far_ahead_the_market_is_looked_through_makes_no_difference(script: list[Step], minutes: int) -> None:
    far = a_day(script, 1, netting=False)

    with patch.object(levels, "FORESIGHT_MS", (minutes * 60_000,)):
        assert a_day(script, 1, netting=False) == far


def test_of_two_positions_that_close_in_one_moment_the_older_closes_first() -> None:
    step = Step(0, DEAL, "EURUSD", kind=0, points=0, sl=100, tp=100, number=0, lasts=None)
    with a_dealer() as dealer:
        # Given two positions with the same levels, the older of which was looked after last
        for _ in range(2):
            dealer.send(**request(dealer, step))
        dealer.settle()
        dealer.book.change("UPDATE schedule SET id = 1000 WHERE order_ticket = ?", (FIRST_TICKET,))

        # When the market has come to one of the levels
        look(dealer, OPENED + 7 * 86_400_000, 1)

        # Then both are closed at the same price, the older first
        closing = [deal for deal in dealer.deals() if deal["entry"]]
        assert [deal["position_id"] for deal in closing] == [FIRST_TICKET, FIRST_TICKET + 1]
        assert len({deal["time_msc"] for deal in closing}) == 1


@given(st.integers(BUY_LIMIT, BUY_STOP), st.integers(0, 120), st.integers(0, 10**9), st.integers(0, 99))
def test_an_order_is_executed_at_the_first_tick_that_touches_its_price(
    kind: int, points: int, since: int, within_tick: int
) -> None:
    with a_dealer() as dealer:
        dealer.now = OPENED + since // TICK_MS * TICK_MS + within_tick
        touch = dealer.quote("ETHUSD").touch(kind)
        rising = kind in RISING
        price = round(touch + (points if rising else -points) / 100, 2)
        ticks = [dealer.quote("ETHUSD"), *dealer.ahead(60, "ETHUSD")]
        touches = [tick for tick in ticks if (tick.touch(kind) >= price if rising else tick.touch(kind) <= price)]
        end = dealer.now + 60_000

        dealer.place(kind, price, "ETHUSD", 1.0)
        dealer.now = end
        dealer.settle()

        expected = [(max(tick.utc_msc, end - 60_000), tick.touch(kind)) for tick in touches[:1]]
        assert [(deal["time_msc"] - 7_200_000, deal["price"]) for deal in dealer.deals()] == expected


def test_a_tick_at_the_end_of_a_span_is_not_overlooked() -> None:
    with a_dealer() as dealer:
        price, tick = dealer.reachable(BUY_STOP)
        with patch.object(levels, "FORESIGHT_MS", (tick.utc_msc - dealer.now, 86_400_000)):
            dealer.place(BUY_STOP, price, "ETHUSD")
            dealer.goes_on(3600)

        assert [deal["time_msc"] for deal in dealer.deals()] == [dealer.server_msc(tick.utc_msc)]


def test_what_waits_happens_in_whatever_process_looks_first(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    one, other = Dealer(path), Dealer(path)
    with closing(other.book):
        price, tick = one.reachable(BUY_STOP)
        with closing(one.book):
            one.place(BUY_STOP, price, "ETHUSD", sl=round(price - 100, 2))

        other.now = one.now
        other.goes_on(3600)

        (deal,) = other.deals()
        assert deal["time_msc"] == other.server_msc(tick.utc_msc)
        assert other.waits() == ["guard"]
