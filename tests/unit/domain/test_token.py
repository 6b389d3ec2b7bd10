"""The token survives the way through `magic` and `comment`, and belongs to one trade."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain import token

namespaces = st.integers(1, 2**21 - 1)
counters = st.integers(0, 2**36 - 1)
attempts = st.integers(1, token.MAX_ATTEMPTS)


@given(namespaces, counters, attempts)
def test_every_attempt_leads_back_to_its_trade(namespace: int, counter: int, attempt: int) -> None:
    base = token.base_token(namespace, counter)
    magic = token.attempt_token(base, attempt)
    assert magic < 2**63
    assert token.trade_of(magic) == base
    assert token.namespace_of(magic) == namespace


@given(namespaces, counters, attempts)
def test_the_comment_carries_the_token_within_metatraders_limit(namespace: int, counter: int, attempt: int) -> None:
    magic = token.attempt_token(token.base_token(namespace, counter), attempt)
    comment = token.comment_of(magic)
    assert len(comment) <= 29
    assert token.token_in(comment) == magic


@given(st.text(max_size=29))
def test_foreign_comments_carry_no_token(comment: str) -> None:
    if not comment.startswith(token.COMMENT_PREFIX):
        assert token.token_in(comment) is None


@pytest.mark.parametrize(("namespace", "counter"), [(0, 1), (2**21, 1), (1, 2**36), (1, -1)])
def test_what_does_not_fit_is_refused(namespace: int, counter: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        token.base_token(namespace, counter)


@pytest.mark.parametrize("attempt", [0, 64, -1])
def test_an_attempt_outside_its_bits_is_refused(attempt: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        token.attempt_token(token.base_token(1, 1), attempt)
