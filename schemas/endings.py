"""How a trade can end, and why."""

from __future__ import annotations

from enum import StrEnum


class ConfirmationStatus(StrEnum):
    """How the trade ended."""

    FILLED = "filled"
    PARTIALLY_FILLED = "partially_filled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    ERROR = "error"
    UNRESOLVED = "unresolved"


class RejectionReason(StrEnum):
    """Why it did not end filled."""

    RPM_REJECTED = "rpm_rejected"
    TRADING_HALTED = "trading_halted"
    UNKNOWN_SYMBOL = "unknown_symbol"
    SYMBOL_NOT_TRADABLE = "symbol_not_tradable"
    MARKET_CLOSED = "market_closed"
    STALE_TICK = "stale_tick"
    NO_MARKET_DATA = "no_market_data"
    INVALID_MARKET_DATA = "invalid_market_data"
    SPREAD_TOO_WIDE = "spread_too_wide"
    PRICE_MOVED = "price_moved"
    VOLUME_NOT_REPRESENTABLE = "volume_not_representable"
    VOLUME_OUT_OF_RANGE = "volume_out_of_range"
    MARGIN_INSUFFICIENT = "margin_insufficient"
    LIMIT_EXCEEDED = "limit_exceeded"
    BROKER_REJECTION = "broker_rejection"
    # The message was refused, and is a dead letter too.
    MALFORMED_JSON = "malformed_json"
    SCHEMA_INVALID = "schema_invalid"
    UNSUPPORTED_INSTRUCTION = "unsupported_instruction"
    UNSUPPORTED_VERSION = "unsupported_version"
    IDENTITY_CONFLICT = "identity_conflict"
    ACCOUNT_MISMATCH = "account_mismatch"
    UNKNOWN_ACCOUNT = "unknown_account"
    MESSAGE_TOO_LARGE = "message_too_large"
    INTERNAL_ERROR = "internal_error"
    DELIVERY_LIMIT = "delivery_limit"
    MESSAGE_EXPIRED = "expired"
    # The trade was too old, or the order was not filled in time.
    APPROVAL_EXPIRED = "approval_expired"
    TERMINAL_UNAVAILABLE = "terminal_unavailable"
    ORDER_TIMEOUT = "order_timeout"
    # One reason for each of the other endings.
    BROKER_CANCELLED = "broker_cancelled"
    NETWORK_ERROR = "network_error"
    OUTCOME_UNKNOWN = "outcome_unknown"


_OTHER_ENDINGS = {
    ConfirmationStatus.EXPIRED: {
        RejectionReason.APPROVAL_EXPIRED,
        RejectionReason.TERMINAL_UNAVAILABLE,
        RejectionReason.ORDER_TIMEOUT,
    },
    ConfirmationStatus.CANCELLED: {RejectionReason.BROKER_CANCELLED},
    ConfirmationStatus.ERROR: {RejectionReason.NETWORK_ERROR},
    ConfirmationStatus.UNRESOLVED: {RejectionReason.OUTCOME_UNKNOWN},
}

REASONS_OF_STATUS: dict[ConfirmationStatus, frozenset[RejectionReason]] = {
    ConfirmationStatus.FILLED: frozenset(),
    ConfirmationStatus.PARTIALLY_FILLED: frozenset(),
    ConfirmationStatus.REJECTED: frozenset(set(RejectionReason).difference(*_OTHER_ENDINGS.values())),
    **{status: frozenset(reasons) for status, reasons in _OTHER_ENDINGS.items()},
}
"""The reasons that may stand beside each status; where there are none, the reason is null."""
