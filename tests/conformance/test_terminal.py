"""What the pipeline may rely on, whatever terminal stands behind the port. A new terminal joins by its fixture."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.fixtures.terminal import OpenTerminal, Sightings, a_look, a_question, a_search, an_order, is_over
from worker.domain.market import NotSentReason, OrderRequest, SendReport, SendStatus
from worker.domain.outcomes import Proof, judge
from worker.domain.trade import Direction
from worker.ports import Terminal


@pytest.fixture
def terminal(mt5_terminal: OpenTerminal) -> Terminal:
    return mt5_terminal.terminal


@pytest.fixture
def news_of(terminal: Terminal) -> Callable[[OrderRequest], Sightings]:
    return lambda order: Sightings(terminal, order.magic)


def _not_sent(report: SendReport) -> NotSentReason | None:
    assert report.status is SendStatus.NOT_SENT
    assert report.detail
    return report.reason


async def test_it_says_where_orders_go(mt5_terminal: OpenTerminal) -> None:
    health = (await mt5_terminal.terminal.quote(a_question())).health
    facts = mt5_terminal.facts
    assert (health.login, health.server) == (facts.venue.login, facts.venue.server)
    assert (health.venue_mode, health.account_mode) == (facts.venue.mode, facts.account_mode)
    assert health.connected
    assert health.trade_allowed
    assert health.problem is None


async def test_a_quote_holds_all_that_the_checks_need(terminal: Terminal) -> None:
    quote = await terminal.quote(a_question(units=10_000))
    assert quote.instrument is not None
    assert quote.instrument.symbol == "EURUSD"
    assert quote.tick is not None
    assert 0 < quote.tick.bid < quote.tick.ask
    assert quote.tick.time is not None
    assert abs(quote.taken_at - quote.tick.time) < timedelta(seconds=5)
    assert quote.margin_required is not None
    assert quote.margin_required > 0


async def test_margin_grows_with_the_volume(terminal: Terminal) -> None:
    small = (await terminal.quote(a_question(units=10_000))).margin_required
    large = (await terminal.quote(a_question(units=100_000))).margin_required
    assert small is not None
    assert large is not None
    assert large > 9 * small


async def test_units_that_are_no_lots_have_no_margin(terminal: Terminal) -> None:
    quote = await terminal.quote(a_question(units=1))
    assert quote.instrument is not None
    assert quote.margin_required is None


async def test_an_unknown_symbol_has_no_instrument(terminal: Terminal) -> None:
    quote = await terminal.quote(a_question("NOSUCH"))
    assert quote.instrument is None
    assert quote.tick is None
    assert quote.health.problem is None


@pytest.mark.parametrize("direction", list(Direction))
async def test_an_order_is_answered_and_its_story_told(
    terminal: Terminal, news_of: Callable[[OrderRequest], Sightings], direction: Direction
) -> None:
    order = an_order(direction=direction, lots=Decimal("0.3"))
    before = datetime.now(UTC)

    report = await terminal.submit(order)

    assert judge(report).proof is Proof.ACCEPTED
    assert report.sent_at is not None
    assert report.answered_at is not None
    assert before <= report.sent_at <= report.answered_at
    assert report.request["magic"] == order.magic
    assert report.reply is not None
    story = await news_of(order).until(is_over)
    assert {seen.ticket for seen in story.orders} == {report.order_ticket}
    assert story.lots == order.lots
    assert all(deal.order == report.order_ticket and deal.comment == order.comment for deal in story.deals)
    assert all(abs(deal.time - before) < timedelta(seconds=10) for deal in story.deals)


async def test_news_is_told_once(terminal: Terminal, news_of: Callable[[OrderRequest], Sightings]) -> None:
    order = an_order()
    await terminal.submit(order)
    await news_of(order).until(is_over)

    again = await news_of(order).once()

    assert (again.orders, again.deals) == ([], [])


async def test_only_the_asked_namespaces_are_told_of(terminal: Terminal) -> None:
    await terminal.submit(an_order())
    poll = await terminal.poll(a_look(namespace=4712))
    assert poll.readable
    assert (poll.orders, poll.deals) == ((), ())


async def test_a_search_finds_an_order_with_all_that_came_of_it(
    terminal: Terminal, news_of: Callable[[OrderRequest], Sightings]
) -> None:
    order = an_order(lots=Decimal("0.2"))
    report = await terminal.submit(order)
    await news_of(order).until(is_over)

    for _ in range(2):  # each search tells the whole
        search = await terminal.search(a_search("EURUSD"))

        assert (search.readable, search.unreadable_symbols) == (True, frozenset())
        assert {seen.ticket for seen in search.orders if seen.magic == order.magic} == {report.order_ticket}
        deals = [deal for deal in search.deals if deal.magic == order.magic]
        assert sum(deal.volume for deal in deals) == order.lots
        assert report.order_ticket in {seen.opened_by for seen in search.positions}
        assert not {deal.ticket for deal in search.strangers} & {deal.ticket for deal in deals}


async def test_the_newest_deal_that_was_seen_proves_the_next_look_whole(
    terminal: Terminal, news_of: Callable[[OrderRequest], Sightings]
) -> None:
    order = an_order()
    await terminal.submit(order)
    await news_of(order).until(is_over)
    newest = (await terminal.poll(a_look())).newest_deal
    assert newest is not None

    found = await terminal.search(a_search(witness=newest))
    wanting = await terminal.search(a_search(witness=newest + 1_000_000))

    assert (found.readable, found.newest_deal) == (True, newest)
    assert (wanting.readable, wanting.lacks_witness) == (False, True)
    assert str(newest + 1_000_000) in wanting.detail


async def test_a_search_tells_of_the_asked_namespaces_only(terminal: Terminal) -> None:
    await terminal.submit(an_order())
    search = await terminal.search(a_search(namespaces=frozenset({4712})))
    assert search.readable
    assert (search.orders, search.deals, search.positions, search.strangers) == ((), (), (), ())


async def test_nothing_is_proved_about_a_symbol_that_cannot_be_asked_for(terminal: Terminal) -> None:
    search = await terminal.search(a_search("EURUSD", "NOSUCH", "EUR*"))
    assert search.readable
    assert search.unreadable_symbols == {"NOSUCH", "EUR*"}


async def test_a_terminal_is_clean_since_a_moment_of_the_past_or_not_known_to_be(terminal: Terminal) -> None:
    custody = (await terminal.search(a_search())).custody[terminal.sender_of("EURUSD")]
    assert custody.clean_since is None or custody.clean_since < datetime.now(UTC)


async def test_a_passed_deadline_stops_a_send(terminal: Terminal, news_of: Callable[[OrderRequest], Sightings]) -> None:
    by_utc = an_order(send_before=datetime.now(UTC) - timedelta(milliseconds=1))
    by_monotonic = an_order(send_before_monotonic=time.monotonic() - 0.001)
    for order in (by_utc, by_monotonic):
        assert _not_sent(await terminal.submit(order)) is NotSentReason.DEADLINE
        assert (await news_of(order).once()).orders == []


@pytest.mark.parametrize("elsewhere", [{"login": 1}, {"server": "Somewhere-Else"}])
async def test_an_order_for_another_account_is_not_sent(terminal: Terminal, elsewhere: dict[str, Any]) -> None:
    assert _not_sent(await terminal.submit(an_order(**elsewhere))) is NotSentReason.WRONG_ACCOUNT


@pytest.mark.parametrize(("direction", "worst"), [(Direction.LONG, Decimal("0.5")), (Direction.SHORT, Decimal("2.5"))])
async def test_a_price_beyond_the_worst_allowed_is_not_taken(
    terminal: Terminal, direction: Direction, worst: Decimal
) -> None:
    report = await terminal.submit(an_order(direction=direction, worst_price=worst))
    assert _not_sent(report) is NotSentReason.PRICE_MOVED
    assert str(worst) in report.detail


async def test_a_volume_that_the_broker_does_not_take_is_refused_before_sending(terminal: Terminal) -> None:
    report = await terminal.submit(an_order(lots=Decimal(1_000_000)))
    assert _not_sent(report) is NotSentReason.CHECK_FAILED
    assert judge(report).proof is Proof.REFUSED


async def test_an_order_for_an_unknown_symbol_is_not_sent(terminal: Terminal) -> None:
    assert _not_sent(await terminal.submit(an_order("NOSUCH"))) is NotSentReason.INVALID_REQUEST


async def test_cancelling_an_order_that_is_over_is_answered_with_a_code(
    terminal: Terminal, news_of: Callable[[OrderRequest], Sightings]
) -> None:
    order = an_order()
    report = await terminal.submit(order)
    await news_of(order).until(is_over)

    cancelled = await terminal.cancel(report.order_ticket, "EURUSD")

    assert cancelled.retcode is not None
    assert cancelled.retcode != 10009


async def test_instruments_are_listed_by_name_or_all(mt5_terminal: OpenTerminal) -> None:
    named = await mt5_terminal.terminal.instruments(["EURUSD", "NOSUCH"])
    everything = await mt5_terminal.terminal.instruments()
    assert [instrument.symbol for instrument in named] == ["EURUSD"]
    assert named[0] in everything
