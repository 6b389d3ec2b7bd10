"""Each test card of the simulated broker, through the child process: what a send answers and what polls tell."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from tests.fixtures.terminal import OpenTerminal, a_question, a_trade, an_order, is_over
from worker.domain.instrument import TradeMode
from worker.domain.market import NotSentReason, OrderState, SendStatus
from worker.domain.outcomes import Proof, judge
from worker.domain.trade import Direction


@pytest.mark.parametrize(
    ("suffix", "lots", "deals"),
    [("", "0.1", 1), (".slip", "0.1", 1), (".partial", "0.06", 1), (".multi", "0.1", 3), (".nocomment", "0.1", 1)],
)
async def test_executed_at_once(mt5_terminal: OpenTerminal, suffix: str, lots: str, deals: int) -> None:
    order = an_order(f"EURUSD{suffix}")
    report = await mt5_terminal.terminal.submit(order)
    assert judge(report).proof is Proof.ACCEPTED
    story = await mt5_terminal.news_of(order).until(is_over)
    assert story.lots == Decimal(lots)
    assert len(story.deals) == deals
    assert {deal.order for deal in story.deals} == {report.order_ticket}


async def test_slow_is_filled_later(mt5_terminal: OpenTerminal) -> None:
    order = an_order("EURUSD.slow")
    report = await mt5_terminal.terminal.submit(order)
    assert report.retcode == 10008
    story = await mt5_terminal.news_of(order).until(is_over)
    assert [seen.state for seen in story.orders] == [OrderState.PLACED, OrderState.FILLED]
    assert story.lots == order.lots


async def test_hidden_is_found_in_history(mt5_terminal: OpenTerminal) -> None:
    order = an_order("EURUSD.hidden")
    report = await mt5_terminal.terminal.submit(order)
    assert (report.retcode, report.deal_ticket) == (10009, 0)
    assert (await mt5_terminal.news_of(order).once()).deals == []
    assert (await mt5_terminal.news_of(order).until(is_over)).lots == order.lots


@pytest.mark.parametrize(
    ("suffix", "lots"),
    [(".pending", "0"), (".race", "0.1"), (".late", "0.1")],
)
async def test_cancelled_by_us(mt5_terminal: OpenTerminal, suffix: str, lots: str) -> None:
    order = an_order(f"EURUSD{suffix}")
    report = await mt5_terminal.terminal.submit(order)
    assert report.retcode == 10008
    news = mt5_terminal.news_of(order)
    assert [seen.state for seen in (await news.once()).orders] == [OrderState.PLACED]

    await mt5_terminal.terminal.cancel(report.order_ticket, order.symbol)

    await news.until(lambda seen: is_over(seen) and seen.lots == Decimal(lots))
    assert news.orders[-1].historical


async def test_requotes_are_answered_until_the_third_attempt(mt5_terminal: OpenTerminal) -> None:
    trade = a_trade()
    codes = [
        (await mt5_terminal.terminal.submit(an_order("EURUSD.requote", trade=trade, attempt=attempt))).retcode
        for attempt in (1, 2, 3)
    ]
    assert codes == [10004, 10004, 10009]


async def test_rejected(mt5_terminal: OpenTerminal) -> None:
    report = await mt5_terminal.terminal.submit(an_order("EURUSD.reject"))
    assert (report.status, report.retcode) == (SendStatus.ANSWERED, 10006)
    assert judge(report).proof is Proof.REFUSED


async def test_a_time_out_is_ambiguous_and_the_order_is_found(mt5_terminal: OpenTerminal) -> None:
    order = an_order("EURUSD.timeout")
    report = await mt5_terminal.terminal.submit(order)
    assert report.retcode == 10012
    assert judge(report).proof is Proof.AMBIGUOUS
    assert (await mt5_terminal.news_of(order).until(is_over)).lots == order.lots


async def test_a_lost_reply_is_ambiguous_and_the_terminal_comes_back_by_itself(mt5_terminal: OpenTerminal) -> None:
    pid, order = mt5_terminal.pid, an_order("EURUSD.lostreply")
    report = await mt5_terminal.terminal.submit(order)
    assert (report.status, report.last_error) == (SendStatus.NO_ANSWER, -10002)
    assert judge(report).proof is Proof.AMBIGUOUS
    assert (await mt5_terminal.news_of(order).until(is_over)).lots == order.lots
    assert mt5_terminal.pid == pid


async def test_not_sent_is_ambiguous_and_the_next_attempt_is_filled(mt5_terminal: OpenTerminal) -> None:
    trade = a_trade()
    first, second = (an_order("EURUSD.notsent", trade=trade, attempt=attempt) for attempt in (1, 2))
    assert judge(await mt5_terminal.terminal.submit(first)).proof is Proof.AMBIGUOUS
    assert (await mt5_terminal.news_of(first).once()).orders == []
    assert judge(await mt5_terminal.terminal.submit(second)).proof is Proof.ACCEPTED


async def test_never_sent_is_ambiguous_every_time(mt5_terminal: OpenTerminal) -> None:
    trade = a_trade()
    for attempt in (1, 2, 3):
        report = await mt5_terminal.terminal.submit(an_order("EURUSD.neversent", trade=trade, attempt=attempt))
        assert report.status is SendStatus.NO_ANSWER


async def test_what_no_look_up_shows_stays_unknown(mt5_terminal: OpenTerminal) -> None:
    order = an_order("EURUSD.nohistory")
    assert judge(await mt5_terminal.terminal.submit(order)).proof is Proof.AMBIGUOUS
    assert (await mt5_terminal.news_of(order).once()).orders == []


@pytest.mark.parametrize(
    ("suffix", "retcode"), [("closed", 10018), ("disabled", 10017), ("closeonly", 10044), ("nomargin", 10019)]
)
async def test_order_check_refuses_before_anything_is_sent(
    mt5_terminal: OpenTerminal, suffix: str, retcode: int
) -> None:
    report = await mt5_terminal.terminal.submit(an_order(f"EURUSD.{suffix}"))
    assert (report.status, report.reason) == (SendStatus.NOT_SENT, NotSentReason.CHECK_FAILED)
    assert report.retcode == retcode


@pytest.mark.parametrize("direction", list(Direction))
async def test_a_jump_after_the_check_is_seen_before_the_send(mt5_terminal: OpenTerminal, direction: Direction) -> None:
    quote = await mt5_terminal.terminal.quote(a_question("EURUSD.jump"))
    assert quote.tick is not None
    worst = quote.tick.touch(direction) + int(direction) * Decimal("0.0010")
    report = await mt5_terminal.terminal.submit(an_order("EURUSD.jump", direction, worst_price=worst))
    assert (report.status, report.reason) == (SendStatus.NOT_SENT, NotSentReason.PRICE_MOVED)


async def test_no_tick_no_order(mt5_terminal: OpenTerminal) -> None:
    report = await mt5_terminal.terminal.submit(an_order("EURUSD.notick"))
    assert (report.status, report.reason) == (SendStatus.NOT_SENT, NotSentReason.NO_PRICE)


async def test_quotes_tell_what_the_checks_look_for(mt5_terminal: OpenTerminal) -> None:
    names = ("disabled", "closeonly", "wide", "stale", "notick", "crossed")
    answers = await asyncio.gather(*(mt5_terminal.terminal.quote(a_question(f"EURUSD.{name}")) for name in names))
    disabled, closeonly, wide, stale, notick, crossed = answers
    assert disabled.instrument is not None
    assert disabled.instrument.trade_mode == TradeMode.DISABLED
    assert closeonly.instrument is not None
    assert closeonly.instrument.trade_mode == TradeMode.CLOSE_ONLY
    assert wide.tick is not None
    assert wide.tick.ask - wide.tick.bid > Decimal("0.0010")
    assert stale.tick is not None
    assert stale.tick.time is not None
    assert (stale.taken_at - stale.tick.time).total_seconds() > 30
    assert notick.tick is None
    assert crossed.tick is not None
    assert crossed.tick.ask < crossed.tick.bid
