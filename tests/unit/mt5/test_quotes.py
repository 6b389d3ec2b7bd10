"""One coarse question about one trade, asked of the package."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.unit.mt5.package import Package, Struct, a_clock, a_link, a_symbol, a_tick
from worker.domain.errors import TerminalUnavailable
from worker.domain.instrument import VolumePolicy
from worker.domain.market import Quote, QuoteRequest
from worker.domain.trade import Direction
from worker.mt5.quotes import Quotes
from worker.mt5.server_clock import ServerClock

QUESTION = QuoteRequest("EURUSD", Direction.LONG, Decimal(10_000), VolumePolicy.EXACT, Decimal(0))


def quotes_of(package: Package, clock: ServerClock | None = None) -> Quotes:
    return Quotes(a_link(package), clock or a_clock(), monotonic=itertools.count(0, 1.0).__next__)


def asked(quotes: Quotes, *questions: QuoteRequest) -> list[Quote]:
    """Return the answers; raises what any asker is told."""
    answers = quotes.quotation(questions).of(questions)
    for answer in answers:
        if isinstance(answer, TerminalUnavailable):
            raise answer
    return [answer for answer in answers if isinstance(answer, Quote)]


def question(quotes: Quotes) -> Quote:
    """Ask one question."""
    return asked(quotes, QUESTION)[0]


def test_everything_is_answered_at_once() -> None:
    quote = question(quotes_of(Package()))
    assert quote.health.problem is None
    assert quote.instrument is not None
    assert quote.instrument.tick_size == Decimal("0.00001")
    assert quote.tick is not None
    assert (quote.tick.bid, quote.tick.ask) == (Decimal("1.0999"), Decimal("1.1"))
    assert quote.margin_required == 100


def test_a_tick_has_no_time_until_the_server_s_clock_is_known() -> None:
    quote = question(quotes_of(Package()))
    assert quote.tick is not None
    assert quote.tick.time is None


def test_watching_changing_prices_tells_the_clock() -> None:
    now = int(time.time() * 1000)
    ticks = [a_tick(time_msc=now + 7_200_000 + number) for number in range(5)]
    clock = a_clock()
    Quotes(a_link(Package(symbol_info_tick=ticks)), clock).watch(["EURUSD"], seconds=5)
    assert clock.offset is not None
    assert clock.offset.total_seconds() == 7200


def test_a_closed_market_is_watched_only_now_and_then() -> None:
    package = Package()
    quotes = quotes_of(package)  # each look at the watch takes a second
    question(quotes)
    looks = package.count("symbol_info_tick")
    question(quotes)
    assert package.count("symbol_info_tick") == looks + 1


def ticks_at(*hours: int) -> list[Struct]:
    """Return a changing price, each time with the server's wall clock so many hours ahead of UTC."""
    now = int(time.time() * 1000)
    return [a_tick(time_msc=now + hour * 3_600_000 + number) for number, hour in enumerate(hours)]


def test_a_quote_after_the_clocks_were_put_back_has_learnt_it() -> None:
    clock = a_clock()
    quotes = Quotes(a_link(Package(symbol_info_tick=ticks_at(3, 3, 3, 2, 2, 2, 2))), clock)
    quotes.watch(["EURUSD"], seconds=5)
    tick = question(quotes).tick
    assert tick is not None
    assert tick.time is not None
    assert clock.offset is not None
    assert clock.offset.total_seconds() == 7200


def test_glances_notice_clocks_put_back_while_nobody_asks() -> None:
    clock = a_clock()
    quotes = Quotes(a_link(Package(symbol_info_tick=ticks_at(3, 3, 3, 2, 2, 2, 2))), clock)
    quotes.watch(["EURUSD"], seconds=5)
    quotes.glance()
    assert clock.offset is None
    for _ in range(2):
        quotes.glance()
    assert clock.offset is not None
    assert clock.offset.total_seconds() == 7200


def test_glances_go_round_the_symbols_used_last() -> None:
    looked_at: list[str] = []
    ticks = iter(ticks_at(*[2] * 30))

    def look(name: str) -> Struct:
        looked_at.append(name)
        return next(ticks)

    quotes = Quotes(a_link(Package(symbol_info=lambda name: a_symbol(name=name), symbol_info_tick=look)), a_clock())
    quotes.glance()
    assert looked_at == [], "none is known yet"
    quotes.watch(["EURUSD"], seconds=5)
    for name in ("AUDUSD", "USDJPY", "EURJPY", "GBPUSD", "EURUSD"):
        quotes.instrument(name)
    for _ in range(8):
        quotes.glance()
    assert sorted(looked_at[-8:]) == sorted(["USDJPY", "EURJPY", "GBPUSD", "EURUSD"] * 2)


def test_while_the_clock_is_unknown_a_glance_is_at_all_of_them() -> None:
    quotes = quotes_of(package := Package(symbol_info=lambda name: a_symbol(name=name)))
    for name in ("EURUSD", "GBPUSD"):
        quotes.instrument(name)
    quotes.glance()
    assert package.count("symbol_info_tick") == 2


@pytest.mark.parametrize("tick", [None, a_tick(time_msc=0)])
def test_without_a_price_there_is_no_margin(tick: Struct | None) -> None:
    quote = question(quotes_of(Package(symbol_info_tick=tick)))
    assert (quote.tick, quote.margin_required) == (None, None)


def test_a_margin_that_cannot_be_calculated_is_none() -> None:
    package = Package()
    package.fails("order_calc_margin", -2)
    assert question(quotes_of(package)).margin_required is None


@pytest.mark.parametrize("answers", [{"symbol_select": False}, {"symbol_info": None}])
def test_an_unknown_symbol_has_nothing(answers: dict[str, object]) -> None:
    quote = question(quotes_of(Package(**answers)))
    assert (quote.instrument, quote.tick, quote.margin_required) == (None, None, None)


def test_an_incomplete_specification_is_not_used() -> None:
    with pytest.raises(TerminalUnavailable, match="incomplete"):
        question(quotes_of(Package(symbol_info=a_symbol(trade_contract_size=0.0))))


def test_a_symbol_is_selected_once_until_the_terminal_is_another() -> None:
    package = Package()
    quotes = quotes_of(package)
    quotes.instrument("EURUSD")
    quotes.instrument("EURUSD")
    assert package.count("symbol_select") == 1
    quotes.forget()
    quotes.instrument("EURUSD")
    assert package.count("symbol_select") == 2


def test_instruments_are_those_named_or_all_that_are_shown() -> None:
    shown = (a_symbol(name="EURUSD"), a_symbol(name="GBPUSD", visible=False))
    package = Package(symbols_get=shown, symbol_info=lambda name: a_symbol(name=name))
    quotes = quotes_of(package)
    assert [instrument.symbol for instrument in quotes.instruments(())] == ["EURUSD"]
    assert [instrument.symbol for instrument in quotes.instruments(("XAUUSD",))] == ["XAUUSD"]


def test_several_questions_share_what_they_have_in_common() -> None:
    package = Package(symbol_info=lambda name: a_symbol(name=name))
    small, large = replace(QUESTION, units=Decimal(1_000)), replace(QUESTION, units=Decimal(20_000))
    other = replace(QUESTION, symbol="GBPUSD")

    quotes = quotes_of(package)
    question(quotes)  # the server's clock is looked for at the first one
    looks = ("account_info", "symbol_info", "symbol_info_tick", "order_calc_margin")
    before = [package.count(look) for look in looks]

    answers = asked(quotes, QUESTION, small, other, QUESTION, large, QUESTION)

    # Then the terminal was asked once for what does not differ
    assert [package.count(look) - count for look, count in zip(looks, before, strict=True)] == [1, 2, 2, 4]
    names = [answer.instrument.symbol for answer in answers if answer.instrument is not None]
    assert names == ["EURUSD", "EURUSD", "GBPUSD", "EURUSD", "EURUSD", "EURUSD"]
    assert answers[0] == answers[3] == answers[5]


def test_a_symbol_that_cannot_be_read_concerns_only_who_asked_for_it() -> None:
    package = Package(symbol_info=lambda name: a_symbol(name=name, trade_contract_size=float(name == "EURUSD")))
    questions = [QUESTION, replace(QUESTION, symbol="GBPUSD"), replace(QUESTION, symbol="EURUSD")]
    first, second, third = quotes_of(package).quotation(questions).of(questions)
    assert isinstance(second, TerminalUnavailable)
    assert "incomplete" in str(second)
    assert isinstance(first, Quote)
    assert isinstance(third, Quote)
