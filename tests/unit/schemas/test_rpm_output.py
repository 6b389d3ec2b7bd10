"""Reading RPM's messages: all that RPM writes is accepted, what is surely wrong is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.examples import example_rejected_output, example_rpm_output
from schemas.refusals import RefusedMessage
from schemas.rpm_output import (
    ReadableParts,
    RPMOutput,
    SchemaInvalid,
    UnsupportedInstruction,
    UnsupportedVersion,
    read_rpm_output,
    readable_parts,
)
from schemas.strict_json import parse

Message = dict[str, Any]


def received(message: object) -> RPMOutput:
    return read_rpm_output(parse(json.dumps(message).encode()))


def with_trade(**changes: object) -> Message:
    message = example_rpm_output()
    message["decision"]["approved_trade"] |= changes
    return message


def with_decision(**changes: object) -> Message:
    message = example_rpm_output()
    message["decision"] |= changes
    return message


def with_state(**changes: object) -> Message:
    message = example_rpm_output()
    message["portfolio_state"] |= changes
    return message


def without(name: str, choose: Callable[[Message], Message]) -> Message:
    message = example_rpm_output()
    del choose(message)[name]
    return message


def refusal(message: object) -> str:
    with pytest.raises(SchemaInvalid) as refused:
        received(message)
    assert refused.value.reason == "schema_invalid"
    return refused.value.detail


class TestAccepted:
    def test_an_approved_trade_is_read_with_exact_numbers_and_utc_times(self) -> None:
        approved_at = datetime(2026, 3, 2, 9, 30, 0, 250_000, tzinfo=UTC)
        message = example_rpm_output(units=123_456.78, timestamp=approved_at, intended_price=1.08422)

        trade = received(message).decision.approved_trade

        assert trade is not None
        assert (trade.symbol, trade.direction) == ("EURUSD", 1)
        assert (trade.position_units, trade.intended_price) == (Decimal("123456.78"), Decimal("1.08422"))
        assert trade.timestamp == approved_at

    def test_a_rejected_trade_is_read(self) -> None:
        decision = received(example_rejected_output()).decision

        assert decision.approved_trade is None
        assert decision.rejected_trade is not None
        assert decision.rejected_trade.rejection_reason == "LOW_CONFIDENCE"

    @pytest.mark.parametrize(
        "message",
        [
            with_decision(status="ADJUSTED"),
            with_decision(order_id=None),
            with_decision(order_id="x" * 200),
            with_decision(sizing_adjustments={}, processing_time_ms=0),
            with_decision(portfolio_constraints_passed=False, portfolio_constraint_violations=["a", "b"]),
            with_decision(kill_switch_triggered=True, kill_switch_reason="drawdown"),
            with_trade(direction=-1),
            with_trade(direction=1.0),
            with_trade(position_units=0.000001),
            with_trade(position_units=10**30),
            with_trade(symbol="x" * 29),
            with_trade(symbol="\N{GRINNING FACE}" * 14),
            with_trade(symbol="[SP500].m#+"),
            with_trade(risk_override=True),
            with_trade(risk_override=0.02),
            with_trade(kelly_fraction=None, kelly_capped=None, expectancy=-0.4),
            with_trade(base_units=-100_000, atr=0, vol_percentile=0, confidence_score=1),
            with_state(open_positions={}, symbol_exposure={}, currency_exposure={}),
            with_state(trading_halted=True, halt_reason="manual", halt_timestamp="2026-03-02T09:30:00"),
            with_state(current_drawdown=0, daily_pnl=-12, realized_pnl=0, last_update=None),
            example_rpm_output() | {"risk_metrics": {}},
            example_rpm_output() | {"risk_metrics": None},
            example_rpm_output() | {"rpm_version": "17-beta"},
            example_rpm_output() | {"schema_version": "1.0"},
            without("kill_switch_reason", lambda message: message["decision"]),
            without("rejected_trade", lambda message: message["decision"]),
            without("order_id", lambda message: message["decision"]),
            without("halt_reason", lambda message: message["portfolio_state"]),
            without("kelly_fraction", lambda message: message["decision"]["approved_trade"]),
        ],
    )
    def test_whatever_rpm_may_write_is_accepted(self, message: Message) -> None:
        received(message)

    @pytest.mark.parametrize("exposure", [None, 50_000, 0.25, {"EUR": 50_000, "USD": -54_000.5}])
    def test_the_exposure_of_a_rejected_trade_may_be_one_number_or_many(self, exposure: object) -> None:
        message = example_rejected_output()
        message["decision"]["rejected_trade"]["currency_exposure"] = exposure

        received(message)

    def test_an_unknown_field_is_kept(self) -> None:
        trade = received(with_trade(strategy={"name": "breakout"})).decision.approved_trade

        assert trade is not None
        assert trade.model_extra == {"strategy": {"name": "breakout"}}


class TestTimes:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("2026-03-02T09:30:00", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
            ("2026-03-02T09:30:00.5", datetime(2026, 3, 2, 9, 30, 0, 500_000, tzinfo=UTC)),
            ("2026-03-02 09:30:00.123456789", datetime(2026, 3, 2, 9, 30, 0, 123_456, tzinfo=UTC)),
            ("2026-03-02T09:30:00Z", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
            ("2026-03-02T11:30:00+02:00", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
            ("2026-03-01T23:30-1000", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
        ],
    )
    def test_a_time_without_offset_is_utc_and_any_other_is_converted(self, written: str, meant: datetime) -> None:
        assert received(example_rpm_output() | {"timestamp": written}).timestamp == meant

    @pytest.mark.parametrize(
        "written",
        [
            1_772_443_800,
            "1772443800",
            "2026-03-02",
            "09:30:00",
            "2026-02-30T00:00:00",
            "2026-03-02T24:00:00",
            "2026-03-02T09:30:60Z",
            "0001-01-01T00:00:00+14:00",
            "2026-W10-1T09:30:00",
            "\u0662026-03-02T09:30:00",
            "2026-03-02T09:30:00\n",
            "yesterday",
            "",
            None,
        ],
    )
    def test_what_is_no_date_and_time_is_refused(self, written: object) -> None:
        assert "timestamp" in refusal(with_trade(timestamp=written))


class TestRefused:
    @pytest.mark.parametrize(
        ("message", "named"),
        [
            (with_trade(position_units="100000"), 'approved_trade.position_units is "100000", but must be a number'),
            (with_trade(position_units=True), "position_units is true"),
            (with_trade(position_units=0), "position_units is 0, but must be a number greater than 0"),
            (with_trade(position_units=-1000.5), "position_units is -1000.5"),
            (with_trade(intended_price=0), "intended_price is 0"),
            (with_trade(direction=0), "direction is 0, but must be 1 (long) or -1 (short)"),
            (with_trade(direction=True), "direction is true"),
            (with_trade(direction="1"), 'direction is "1"'),
            (with_trade(direction=1.5), "direction is 1.5"),
            (with_trade(symbol=""), 'symbol is ""'),
            (with_trade(symbol="x" * 30), "symbol is"),
            (with_trade(symbol="\N{GRINNING FACE}" * 15), "symbol is"),
            (with_trade(symbol="EUR USD"), 'symbol is "EUR USD"'),
            (with_trade(symbol="EUR\u200bUSD"), "symbol is"),
            (with_trade(symbol="EUR\nUSD"), r'symbol is "EUR\nUSD"'),
            (with_trade(atr=None), "atr is null"),
            (with_trade(kelly_capped=1), "kelly_capped is 1, but must be true or false"),
            (with_trade(regime=3), "regime is 3, but must be a text"),
            (with_decision(status="approved"), 'status is "approved", but must be'),
            (with_decision(order_id=""), 'order_id is "", but must be null or a text of 1 to 200 bytes'),
            (with_decision(order_id="\u00e9" * 101), "order_id is"),
            (with_decision(order_id=42), "order_id is 42"),
            (with_decision(approved_trade=None), "decision is APPROVED and needs an approved_trade"),
            (with_decision(approved_trade=[]), "approved_trade is a list of 0, but must be an object"),
            (with_decision(status="REJECTED"), "decision is REJECTED and needs a rejected_trade"),
            (
                with_decision(rejected_trade=example_rejected_output()["decision"]["rejected_trade"]),
                "decision is APPROVED but has a rejected_trade",
            ),
            (with_decision(kill_switch_triggered="false"), "kill_switch_triggered is"),
            (with_decision(kill_switch_triggered=None), "kill_switch_triggered is null"),
            (with_decision(portfolio_constraint_violations=[1]), "must be a list of texts"),
            (with_decision(sizing_adjustments={"a": True}), '"a" is true'),
            (with_state(symbol_exposure={"EURUSD": "1"}), '"EURUSD" is "1"'),
            (with_state(trading_halted=0), "trading_halted is 0"),
            (with_state(open_positions={"EURUSD": {}}), "open_positions.EURUSD.units is missing"),
            (with_state(open_positions=[]), "open_positions is a list of 0"),
            (without("decision", lambda message: message), "decision is missing"),
            (without("portfolio_state", lambda message: message), "portfolio_state is missing"),
            (without("risk_metrics", lambda message: message), "risk_metrics is missing"),
            (without("position_units", lambda message: message["decision"]["approved_trade"]), "units is missing"),
            (without("trading_halted", lambda message: message["portfolio_state"]), "trading_halted is missing"),
            ([example_rpm_output()], "the message is a list of 1, but must be an object"),
            ("trade!", 'the message is "trade!"'),
            (None, "the message is null"),
        ],
    )
    def test_what_is_surely_wrong_is_named(self, message: object, named: str) -> None:
        assert named in refusal(message)

    def test_several_mistakes_are_told_at_once_up_to_ten(self) -> None:
        detail = refusal({"decision": {}, "portfolio_state": {}})

        assert "decision.status is missing; " in detail
        assert detail.count(" is missing") == 10
        assert detail.endswith(" more")

    def test_a_long_value_and_a_long_name_are_shortened(self) -> None:
        detail = refusal(with_state(open_positions={"\n" * 10_000: {"symbol": ["x"] * 1000, "direction": "y" * 9999}}))

        assert len(detail) < 2000
        assert "\n" not in detail

    def test_a_flood_of_mistakes_stays_cheap(self) -> None:
        assert "more than 5000 positions" in refusal(with_state(open_positions={str(i): 0 for i in range(50_000)}))


class TestInstructions:
    @pytest.mark.parametrize(
        "name", ["limit_price", "stop_price", "stop_loss", "take_profit", "sl", "tp", "expiration"]
    )
    @pytest.mark.parametrize("value", [1.05, 0, "", False, "2026-03-02T10:00:00"])
    def test_an_instruction_that_would_be_ignored_is_refused(self, name: str, value: object) -> None:
        with pytest.raises(UnsupportedInstruction, match=rf"decision\.approved_trade\.{name} is .*only plain market"):
            received(with_trade(**{name: value}))

    @pytest.mark.parametrize("value", ["LIMIT", "stop", "", "market ", 0, ["market"]])
    def test_an_order_type_other_than_market_is_refused(self, value: object) -> None:
        with pytest.raises(UnsupportedInstruction, match="order_type"):
            received(with_trade(order_type=value))

    @pytest.mark.parametrize("value", ["market", "MARKET", "Market", None])
    def test_a_market_order_is_what_the_worker_sends(self, value: str | None) -> None:
        received(with_trade(order_type=value, stop_loss=None, tp=None))

    def test_an_instruction_beside_the_trade_is_refused_too(self) -> None:
        with pytest.raises(UnsupportedInstruction, match=r" decision\.stop_loss is 1\.05:"):
            received(with_decision(stop_loss=1.05))
        with pytest.raises(UnsupportedInstruction, match=" tp is 2:"):
            received(example_rpm_output() | {"tp": 2})

    def test_it_is_named_even_when_the_rest_is_invalid(self) -> None:
        with pytest.raises(UnsupportedInstruction, match="sl is 1"):
            received({"decision": {"approved_trade": {"sl": 1}}})


class TestVersion:
    @pytest.mark.parametrize("version", ["2.0", "", 2, 1.1, True, {}])
    def test_a_message_of_another_schema_is_refused(self, version: object) -> None:
        with pytest.raises(UnsupportedVersion, match="schema_version is"):
            received(example_rpm_output() | {"schema_version": version})

    @pytest.mark.parametrize("version", ["1.0", "1", None])
    def test_a_message_of_this_schema_is_read(self, version: object) -> None:
        received(example_rpm_output() | {"schema_version": version})


class TestReadableParts:
    def test_all_parts_of_a_good_message_are_readable(self) -> None:
        assert readable_parts(parse(json.dumps(example_rpm_output(intended_price=1.1)).encode())) == ReadableParts(
            order_id="RPM-20260302-000042",
            symbol="EURUSD",
            direction=1,
            units=Decimal(100_000),
            intended_price=Decimal("1.1"),
        )

    def test_a_wrong_part_is_unreadable_and_the_others_are_read(self) -> None:
        message = with_trade(position_units="many", symbol="no symbol at all")

        assert readable_parts(parse(json.dumps(message).encode())) == ReadableParts(
            order_id="RPM-20260302-000042", direction=1
        )

    def test_a_rejected_trade_is_read_from_its_own_part(self) -> None:
        assert readable_parts(parse(json.dumps(example_rejected_output()).encode())) == ReadableParts(
            symbol="GBPUSD", direction=-1
        )

    @pytest.mark.parametrize("value", [None, [], "x", {"decision": 1}, {"decision": {"approved_trade": "x"}}])
    def test_nothing_is_readable_of_something_else(self, value: Any) -> None:
        assert readable_parts(value) == ReadableParts()


_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["decision", "approved_trade", "status", "sl", "symbol"]), children)
    ),
    max_leaves=10,
)


@given(_junk)
def test_no_value_raises_anything_but_a_refusal(value: Any) -> None:
    readable_parts(value)
    with pytest.raises(RefusedMessage) as refused:
        read_rpm_output(value)
    assert refused.value.detail
