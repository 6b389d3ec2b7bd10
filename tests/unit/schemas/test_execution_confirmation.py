"""Confirmations: what subscribers read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.examples import example_filled, example_rejected
from schemas.execution_confirmation import (
    REASONS_OF_STATUS,
    ConfirmationStatus,
    ExecutionConfirmation,
    RejectionReason,
    routing_key,
)
from schemas.problems import SchemaInvalid
from schemas.refusals import DeadLetterReason
from schemas.strict_json import MalformedJson, parse

FIELDS_IN_ORDER = [
    "schema_version",
    "execution_id",
    "version",
    "final",
    "trade_id",
    "rpm_order_id",
    "account",
    "symbol",
    "direction",
    "venue",
    "order_id",
    "position_id",
    "deals",
    "status",
    "intended_units",
    "executed_units",
    "requested_lots",
    "executed_lots",
    "intended_price",
    "fill_price",
    "slippage_pips",
    "adverse_slippage_pips",
    "slippage_exceeded",
    "rejection_reason",
    "rejection_details",
    "attempts",
    "received_at",
    "validated_at",
    "submitted_at",
    "filled_at",
    "timestamp",
    "audit",
]

_EARLIEST = datetime(1990, 1, 1)  # noqa: DTZ001 - Hypothesis takes naive bounds
_amounts = st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e15"), allow_nan=False, allow_infinity=False)
_moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))]), min_value=_EARLIEST)


def filled(**changes: Any) -> ExecutionConfirmation:
    return ExecutionConfirmation.model_validate(example_filled().model_dump() | changes)


def test_it_has_the_fields_of_the_contract_in_their_order() -> None:
    assert list(json.loads(example_filled().to_bytes())) == FIELDS_IN_ORDER


class TestWriting:
    @pytest.mark.parametrize(
        ("amount", "written"),
        [
            ("1E+5", b"100000"),
            ("100000", b"100000"),
            ("0.00001", b"0.00001"),
            ("1E-7", b"0.0000001"),
            ("1.10", b"1.10"),
        ],
    )
    def test_a_number_is_written_plainly_with_its_own_digits(self, amount: str, written: bytes) -> None:
        body = filled(intended_units=Decimal(amount)).to_bytes()

        assert b'"intended_units":' + written + b"," in body

    def test_digits_beyond_a_double_are_kept(self) -> None:
        exact = Decimal("1.084220000000000000000000001")

        assert ExecutionConfirmation.from_bytes(filled(fill_price=exact).to_bytes()).fill_price == exact

    def test_a_time_is_written_in_utc_with_microseconds(self) -> None:
        summer = datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=3)))

        assert b'"timestamp":"2026-07-01T09:00:00.000000Z"' in filled(timestamp=summer).to_bytes()

    def test_a_time_without_zone_is_a_mistake_of_ours(self) -> None:
        with pytest.raises(ValidationError, match="zone"):
            filled(timestamp=datetime(2026, 7, 1, 12, 0))  # noqa: DTZ001 - the mistake itself

    @pytest.mark.parametrize("units", [Decimal("NaN"), Decimal("Infinity"), 1.5, True, "1"])
    def test_what_is_no_exact_number_is_a_mistake_of_ours(self, units: object) -> None:
        with pytest.raises(ValidationError, match="number"):
            filled(executed_units=units)

    def test_text_that_nobody_can_store_is_replaced(self) -> None:
        body = filled(rpm_order_id="a\x00b\ud800c").to_bytes()

        assert ExecutionConfirmation.from_bytes(body).rpm_order_id == "a\ufffdb\ufffdc"

    @given(units=_amounts, price=_amounts, moment=_moments, details=st.text(), slippage=st.decimals(-1000, 1000))
    def test_what_is_written_is_read_back_equal_and_written_again_to_the_same_bytes(
        self, units: Decimal, price: Decimal, moment: datetime, details: str, slippage: Decimal
    ) -> None:
        confirmation = filled(
            executed_units=units,
            fill_price=price,
            filled_at=moment,
            rejection_details=details,
            adverse_slippage_pips=slippage,
        )
        body = confirmation.to_bytes()

        assert ExecutionConfirmation.from_bytes(body) == confirmation
        assert ExecutionConfirmation.from_bytes(body).to_bytes() == body
        assert parse(body) == json.loads(body, parse_float=Decimal)


class TestReading:
    def test_a_field_of_a_later_minor_version_is_ignored(self) -> None:
        body = example_filled().to_bytes().replace(b'{"schema', b'{"new_field":1,"schema', 1)

        assert ExecutionConfirmation.from_bytes(body) == example_filled()

    def test_a_wrong_field_is_named(self) -> None:
        with pytest.raises(SchemaInvalid, match=r'deals\.0\.lots is "1.00", but must be a number'):
            ExecutionConfirmation.from_bytes(example_filled().to_bytes().replace(b'"lots":1.00', b'"lots":"1.00"'))

    def test_what_is_not_json_is_refused(self) -> None:
        with pytest.raises(MalformedJson):
            ExecutionConfirmation.from_bytes(b"confirmed!")


class TestEndings:
    def test_every_status_has_its_reasons_and_every_reason_one_status(self) -> None:
        reasons = [reason for reasons in REASONS_OF_STATUS.values() for reason in reasons]

        assert set(REASONS_OF_STATUS) == set(ConfirmationStatus)
        assert sorted(reasons) == sorted(RejectionReason)

    def test_every_refused_message_can_be_confirmed_with_its_reason(self) -> None:
        assert set(DeadLetterReason) <= set(RejectionReason)

    @pytest.mark.parametrize(
        "changes",
        [
            {"rejection_reason": "stale_tick"},
            {"final": False},
            {"status": "rejected"},
            {"status": "expired", "rejection_reason": "stale_tick"},
            {"status": "unresolved", "rejection_reason": "outcome_unknown"},
        ],
    )
    def test_a_contradiction_cannot_be_confirmed(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            filled(**changes)

    def test_an_unresolved_trade_is_not_final(self) -> None:
        confirmation = filled(status="unresolved", rejection_reason="outcome_unknown", final=False)

        assert confirmation.status is ConfirmationStatus.UNRESOLVED


class TestEnvelope:
    def test_the_message_id_names_execution_and_version(self) -> None:
        assert example_filled().message_id == "0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a:1"

    def test_the_routing_key_names_status_account_and_symbol(self) -> None:
        assert example_filled().routing_key == "confirmation.filled.main.EURUSD"
        assert example_rejected().routing_key == "confirmation.rejected.main.EURUSD"
        assert routing_key(ConfirmationStatus.FILLED, "a_b-1", "EURUSD.partial") == (
            "confirmation.filled.a_b-1.EURUSD.partial"
        )

    @pytest.mark.parametrize("symbol", [None, "", "EUR USD", "x" * 30, "a\n"])
    def test_an_unreadable_symbol_is_an_underscore(self, symbol: str | None) -> None:
        assert routing_key(ConfirmationStatus.REJECTED, "main", symbol) == "confirmation.rejected.main._"

    @given(st.sampled_from(ConfirmationStatus), st.text(), st.none() | st.text(max_size=40))
    def test_a_routing_key_always_fits(self, status: ConfirmationStatus, account: str, symbol: str | None) -> None:
        assert len(routing_key(status, account, symbol).encode()) <= 255

    def test_the_longest_routing_key_fits(self) -> None:
        key = routing_key(ConfirmationStatus.PARTIALLY_FILLED, "a" * 100, "\u20ac" * 29)

        assert "\u20ac" in key
        assert len(key.encode()) <= 255


def test_a_float_is_never_written() -> None:
    with pytest.raises(TypeError, match="float"):
        example_filled().model_copy(update={"fill_price": 1.1}).to_bytes()
