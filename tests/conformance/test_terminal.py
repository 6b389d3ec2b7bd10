"""What the pipeline may rely on, whatever terminal stands behind the port. A new terminal joins by a stand."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.conformance.stand import NAMESPACE, Stand
from tests.fixtures.terminal import is_over, set_broker
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import NotSentReason, SendReport, SendStatus
from worker.domain.outcomes import Proof, judge
from worker.domain.token import token_in
from worker.domain.trade import Direction
from worker.mt5.canary.flight import Flight
from worker.mt5.canary.measure import facts_of
from worker.mt5.canary.plan import prepare


def _not_sent(report: SendReport) -> NotSentReason | None:
    assert report.status is SendStatus.NOT_SENT
    assert report.detail
    return report.reason


async def test_it_says_where_orders_go(stand: Stand) -> None:
    health, facts = (await stand.quote()).health, stand.facts
    assert (health.login, health.server) == (facts.venue.login, facts.venue.server)
    assert (health.venue_mode, health.account_mode) == (facts.venue.mode, facts.account_mode)
    assert health.connected
    assert health.trade_allowed
    assert health.problem is None


async def test_a_quote_holds_all_that_the_checks_need(stand: Stand) -> None:
    quote = await stand.quote()
    assert quote.instrument is not None
    assert quote.instrument.symbol == stand.symbol
    assert quote.tick is not None
    assert 0 < quote.tick.bid < quote.tick.ask
    assert quote.tick.time is not None
    assert abs(quote.taken_at - quote.tick.time) < timedelta(seconds=5 if stand.is_simulated else 60)
    assert quote.margin_required is not None
    assert quote.margin_required > 0


async def test_margin_grows_with_the_volume(stand: Stand) -> None:
    small = (await stand.quote(10_000)).margin_required
    large = (await stand.quote(100_000)).margin_required
    assert small is not None
    assert large is not None
    assert large > 9 * small


async def test_units_that_are_no_lots_have_no_margin(stand: Stand) -> None:
    quote = await stand.quote((await stand.instrument()).step_units / 1000)
    assert quote.instrument is not None
    assert quote.margin_required is None


async def test_an_unknown_symbol_has_no_instrument(stand: Stand) -> None:
    quote = await stand.quote(symbol="NOSUCH")
    assert quote.instrument is None
    assert quote.tick is None
    assert quote.health.problem is None


@pytest.mark.parametrize("direction", list(Direction))
async def test_an_order_is_answered_and_its_story_told(stand: Stand, direction: Direction) -> None:
    order = await stand.order(direction, steps=2)
    before = datetime.now(UTC)

    report = await stand.terminal.submit(order)

    assert judge(report).proof is Proof.ACCEPTED
    assert report.sent_at is not None
    assert report.answered_at is not None
    assert before <= report.sent_at <= report.answered_at
    assert report.request["magic"] == order.magic
    assert report.reply is not None
    story = await stand.news_of(order).until(is_over)
    assert {seen.ticket for seen in story.orders} == {report.order_ticket}
    assert story.lots == order.lots
    assert all(deal.order == report.order_ticket for deal in story.deals)


async def test_magic_and_comment_come_back_as_they_were_sent(stand: Stand) -> None:
    order = await stand.order()

    story = await stand.done(order)

    assert {seen.magic for seen in story.orders} | {deal.magic for deal in story.deals} == {order.magic}
    comments = {seen.comment for seen in story.orders} | {deal.comment for deal in story.deals}
    assert {token_in(comment) for comment in comments} == {order.magic}
    position = (await stand.positions())[order.magic]
    assert (position.opened_by, position.volume) == (story.deals[0].order, order.lots)


async def test_times_are_utc_whatever_the_server_s_clock_says(stand: Stand) -> None:
    assert stand.facts.clock_offset_known
    before = datetime.now(UTC)

    story = await stand.done(await stand.order())

    assert all(abs(deal.time - before) < timedelta(seconds=10) for deal in story.deals)


async def test_news_is_told_once(stand: Stand) -> None:
    order = await stand.order()
    await stand.done(order)

    again = await stand.news_of(order).once()

    assert (again.orders, again.deals) == ([], [])


async def test_only_the_asked_namespaces_are_told_of(stand: Stand) -> None:
    await stand.done(await stand.order())

    poll = await stand.terminal.poll(stand.look(namespace=NAMESPACE - 1))

    assert poll.readable
    assert (poll.orders, poll.deals) == ((), ())


async def test_a_search_finds_an_order_with_all_that_came_of_it(stand: Stand) -> None:
    order = await stand.order(steps=1)
    story = await stand.done(order)
    ticket = story.orders[0].ticket

    for _ in range(2):  # each search tells the whole
        search = await stand.terminal.search(stand.question(stand.symbol))

        assert (search.readable, search.unreadable_symbols) == (True, frozenset())
        assert {seen.ticket for seen in search.orders if seen.magic == order.magic} == {ticket}
        deals = [deal for deal in search.deals if deal.magic == order.magic]
        assert sum(deal.volume for deal in deals) == order.lots
        assert ticket in {seen.opened_by for seen in search.positions}
        assert not {deal.ticket for deal in search.strangers} & {deal.ticket for deal in deals}


async def test_a_position_is_closed_by_its_ticket_and_no_other_is_opened(stand: Stand) -> None:
    order = await stand.order()
    await stand.done(order)
    position = (await stand.positions())[order.magic]

    closing = await stand.order(Direction.SHORT, closes=position.ticket)
    story = await stand.done(closing)

    assert {deal.position_id for deal in story.deals} == {position.opened_by}
    assert await stand.positions() == {}


async def test_the_newest_deal_that_was_seen_proves_the_next_look_whole(stand: Stand) -> None:
    await stand.done(await stand.order())
    newest = (await stand.terminal.poll(stand.look())).newest_deal
    assert newest is not None
    beyond = newest + 1_000_000_000

    found = await stand.terminal.search(stand.question(witness=newest))
    wanting = await stand.terminal.search(stand.question(witness=beyond))

    assert found.readable
    assert found.newest_deal is not None
    assert found.newest_deal >= newest
    assert (wanting.readable, wanting.lacks_witness) == (False, True)
    assert str(beyond) in wanting.detail


async def test_a_search_tells_of_the_asked_namespaces_only(stand: Stand) -> None:
    await stand.done(await stand.order())

    search = await stand.terminal.search(stand.question(namespace=NAMESPACE - 1))

    assert search.readable
    assert (search.orders, search.deals, search.positions, search.strangers) == ((), (), (), ())


async def test_nothing_is_proved_about_a_symbol_that_cannot_be_asked_for(stand: Stand) -> None:
    search = await stand.terminal.search(stand.question(stand.symbol, "NOSUCH", "EUR*"))
    assert search.readable
    assert search.unreadable_symbols == {"NOSUCH", "EUR*"}


async def test_a_terminal_is_clean_since_a_moment_of_the_past_or_not_known_to_be(stand: Stand) -> None:
    custody = (await stand.terminal.search(stand.question())).custody[stand.terminal.sender_of(stand.symbol)]
    assert custody.clean_since is None or custody.clean_since < datetime.now(UTC)


async def test_a_passed_deadline_stops_a_send(stand: Stand) -> None:
    by_utc = await stand.order(send_before=datetime.now(UTC) - timedelta(milliseconds=1))
    by_monotonic = await stand.order(send_before_monotonic=time.monotonic() - 0.001)
    for order in (by_utc, by_monotonic):
        assert _not_sent(await stand.terminal.submit(order)) is NotSentReason.DEADLINE
        assert (await stand.news_of(order).once()).orders == []


@pytest.mark.parametrize("elsewhere", [{"login": 1}, {"server": "Somewhere-Else"}])
async def test_an_order_for_another_account_is_not_sent(stand: Stand, elsewhere: dict[str, Any]) -> None:
    assert _not_sent(await stand.terminal.submit(await stand.order(**elsewhere))) is NotSentReason.WRONG_ACCOUNT


@pytest.mark.parametrize("switch", ["trade_allowed", "connected"])
async def test_a_terminal_that_may_not_trade_sends_nothing(stand: Stand, switch: str) -> None:
    if stand.book is None:
        pytest.skip("only a person reaches a real terminal's switches: the runbook says how to try it")
    order = await stand.order()
    set_broker(stand.book, **{switch: 0})
    try:
        assert _not_sent(await stand.terminal.submit(order)) is NotSentReason.TERMINAL
        assert await _problem(stand)
    finally:
        set_broker(stand.book, **{switch: 1})


async def _problem(stand: Stand) -> str | None:
    """Return why nothing could be sent, in whichever of the two ways a terminal says so."""
    try:
        return (await stand.terminal.quote(stand.asked())).health.problem
    except TerminalUnavailable as error:
        return str(error)


@pytest.mark.parametrize(("direction", "worst"), [(Direction.LONG, Decimal("0.5")), (Direction.SHORT, Decimal(2))])
async def test_a_price_beyond_the_worst_allowed_is_not_taken(
    stand: Stand, direction: Direction, worst: Decimal
) -> None:
    order = await stand.order(direction)
    beyond = order.worst_price * worst

    report = await stand.terminal.submit(await stand.order(direction, worst_price=beyond))

    assert _not_sent(report) is NotSentReason.PRICE_MOVED


async def test_a_volume_that_the_broker_does_not_take_is_refused_before_sending(stand: Stand) -> None:
    instrument = await stand.instrument()
    too_much, between_steps = instrument.volume_max * 10, instrument.volume_min + instrument.volume_step / 2

    for lots in (too_much, between_steps):
        report = await stand.terminal.submit(await stand.order(lots=lots))

        assert _not_sent(report) is NotSentReason.CHECK_FAILED
        assert judge(report).proof is Proof.REFUSED


async def test_an_order_for_an_unknown_symbol_is_not_sent(stand: Stand) -> None:
    order = await stand.order(symbol="NOSUCH")
    assert _not_sent(await stand.terminal.submit(order)) is NotSentReason.INVALID_REQUEST


async def test_cancelling_an_order_that_is_over_is_answered_with_a_code(stand: Stand) -> None:
    story = await stand.done(await stand.order())

    cancelled = await stand.terminal.cancel(story.orders[0].ticket, stand.symbol)

    assert cancelled.retcode is not None
    assert cancelled.retcode != 10009


async def test_an_order_that_waits_is_cancelled(stand: Stand) -> None:
    if not stand.is_simulated:
        pytest.skip("no real broker can be made to leave a market order waiting")
    order = await stand.order(symbol=f"{stand.symbol}.pending")
    report = await stand.terminal.submit(order)

    cancelled = await stand.terminal.cancel(report.order_ticket, order.symbol)

    assert cancelled.retcode == 10009
    story = await stand.news_of(order).until(is_over)
    assert story.deals == []


async def test_instruments_are_listed_by_name_or_all(stand: Stand) -> None:
    named = await stand.terminal.instruments([stand.symbol, "NOSUCH"])
    everything = await stand.terminal.instruments()
    assert [instrument.symbol for instrument in named] == [stand.symbol]
    assert stand.symbol in {instrument.symbol for instrument in everything}


async def test_a_canary_flies_and_comes_down(stand: Stand) -> None:
    def fly() -> Any:
        session = stand.pool.session()
        plan = prepare(session, stand.facts, [stand.symbol], timedelta(seconds=30), live=False)
        return facts_of(plan, Flight(session, plan).fly())

    measured = await asyncio.to_thread(fly)

    assert measured.keeps_magic
    assert measured.symbol == stand.symbol
    assert measured.account_mode == stand.facts.account_mode
