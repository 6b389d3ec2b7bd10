"""The checks before every send: each refuses for its own reason, and the first that fails decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.domain.stories import NOW, a_quote, a_situation, a_tick, a_trade, an_execution, an_instrument
from worker.domain.checks import (
    AT_THE_MARKET,
    BEFORE_THE_MARKET,
    CLOCK_TOLERANCE,
    Limits,
    Situation,
    first_refusal,
    measure,
)
from worker.domain.halts import Halt
from worker.domain.trade import Direction

ALL = BEFORE_THE_MARKET + AT_THE_MARKET


def old(seconds: float, **changes: Any) -> Situation:
    trade = a_trade()
    decision = replace(trade.decision, approved_at=NOW - timedelta(seconds=seconds))
    return a_situation(execution=an_execution(replace(trade, decision=decision)), **changes)


def units(amount: str) -> Situation:
    trade = a_trade()
    return a_situation(execution=an_execution(replace(trade, decision=replace(trade.decision, units=Decimal(amount)))))


FAILING: list[tuple[str, Situation]] = [
    ("rpm_rejected", a_situation(execution=an_execution(a_trade(rpm_rejection="drawdown")))),
    ("trading_halted", a_situation(execution=an_execution(a_trade(rpm_halt="kill switch")))),
    ("trading_halted", a_situation(halt=Halt("odd fills", "ops", NOW))),
    ("approval_expired", old(61)),
    ("approval_expired", old(61, halt=Halt("odd fills", "ops", NOW, hold=True))),
    ("approval_expired", old(5, known_since=NOW)),
    ("terminal_unavailable", old(61, waited_for_terminal="logged out")),
    ("unknown_symbol", a_situation(quote=a_quote(instrument=None))),
    ("symbol_not_tradable", a_situation(quote=a_quote(instrument=an_instrument(trade_mode=0)))),
    ("symbol_not_tradable", a_situation(quote=a_quote(instrument=an_instrument(trade_mode=3)))),
    ("symbol_not_tradable", a_situation(quote=a_quote(instrument=an_instrument(trade_mode=2)))),
    ("no_market_data", a_situation(quote=a_quote(tick=None))),
    ("invalid_market_data", a_situation(quote=a_quote(tick=a_tick(bid="0")))),
    ("invalid_market_data", a_situation(quote=a_quote(tick=a_tick(bid="1.2", ask="1.1")))),
    ("invalid_market_data", a_situation(quote=a_quote(tick=a_tick(bid="1.1", ask="1.1")))),
    ("invalid_market_data", a_situation(quote=a_quote(instrument=an_instrument(calc_mode=3)))),
    ("stale_tick", a_situation(quote=a_quote(tick=a_tick(age=31)))),
    ("stale_tick", a_situation(quote=a_quote(tick=replace(a_tick(), time=None)))),
    ("spread_too_wide", a_situation(quote=a_quote(tick=a_tick(bid="1.1", ask="1.10101")))),
    ("volume_not_representable", units("100001")),
    ("volume_out_of_range", units("10")),
    ("limit_exceeded", a_situation(limits=Limits(Decimal(10), max_lots=Decimal("0.99")))),
    ("limit_exceeded", a_situation(limits=Limits(Decimal(10), max_lots_by_symbol={"EURUSD": Decimal("0.99")}))),
    ("margin_insufficient", a_situation(quote=a_quote(margin_required=None))),
    ("margin_insufficient", a_situation(quote=a_quote(margin_required=Decimal(6667)))),
    ("price_moved", a_situation(execution=an_execution(first_touch=Decimal("1.09911")))),
]


def test_a_sound_trade_passes_and_its_measures_are_known() -> None:
    situation = a_situation()
    assert first_refusal(ALL, situation) is None
    measures = measure(situation)
    assert measures.lots == 1
    assert measures.touch == Decimal("1.10012")
    assert measures.pip == Decimal("0.0001")


@pytest.mark.parametrize(("reason", "situation"), FAILING)
def test_each_fault_has_its_reason(reason: str, situation: Situation) -> None:
    refusal = first_refusal(ALL, situation)
    assert refusal is not None
    assert refusal.reason == reason
    assert refusal.detail


@pytest.mark.parametrize(
    "situation",
    [
        old(60),
        old(10_000, limits=Limits(Decimal(10), max_trade_age=timedelta(0))),
        a_situation(execution=replace(old(10_000).execution, stale_allowed=True)),
        a_situation(quote=a_quote(tick=a_tick(bid="1.1", ask="1.101"))),
        a_situation(limits=Limits(Decimal(10), max_lots=Decimal(1))),
        a_situation(limits=Limits(Decimal(10), max_lots=Decimal("0.5"), max_lots_by_symbol={"EURUSD": Decimal(0)})),
        a_situation(quote=a_quote(margin_required=Decimal("6666.66"))),
        a_situation(execution=an_execution(first_touch=Decimal("1.09912"))),
        a_situation(execution=an_execution(a_trade(Direction.SHORT), first_touch=Decimal("1.09"))),
        a_situation(quote=a_quote(instrument=an_instrument(trade_mode=1))),
    ],
)
def test_the_limit_itself_still_passes(situation: Situation) -> None:
    assert first_refusal(ALL, situation) is None


def test_the_first_check_that_fails_decides() -> None:
    situation = old(1000, quote=a_quote(tick=None), halt=Halt("odd fills", "ops", NOW))
    refusal = first_refusal(ALL, situation)
    assert refusal is not None
    assert refusal.reason == "trading_halted"


def test_a_limit_of_the_symbol_goes_before_the_general_one() -> None:
    limits = Limits(Decimal(10), max_slippage_pips_by_symbol={"EURUSD": Decimal(1)})
    refusal = first_refusal(ALL, a_situation(limits=limits))
    assert refusal is not None
    assert refusal.reason == "spread_too_wide"


def test_what_was_approved_before_the_ledger_was_restored_is_sent_only_when_an_operator_allows_it() -> None:
    since = NOW - timedelta(seconds=3) - CLOCK_TOLERANCE
    forgotten = old(5, known_since=since, limits=Limits(Decimal(10), max_trade_age=timedelta(0)))
    allowed = replace(forgotten, execution=replace(forgotten.execution, stale_allowed=True))

    refusal = first_refusal(BEFORE_THE_MARKET, forgotten)
    assert refusal is not None
    assert "which may have lost that it was executed" in refusal.detail
    assert first_refusal(BEFORE_THE_MARKET, allowed) is None
    assert first_refusal(BEFORE_THE_MARKET, old(2, known_since=since)) is None
    # RPM's clock may be ahead by as much
    assert first_refusal(BEFORE_THE_MARKET, old(2, known_since=NOW - timedelta(seconds=3))) is not None
