"""The digest of a body: equal for equal content, however it was written."""

from __future__ import annotations

import json
import random
from decimal import Decimal

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.canonical import body_digest, canonical_text
from schemas.strict_json import JsonValue, parse

_text = st.text(st.characters(exclude_categories=["Cs"]))
_doubles = st.floats(allow_nan=False, allow_infinity=False)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _doubles | _text,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(_text, children, max_size=4),
    max_leaves=15,
)


def as_parsed(value: object) -> JsonValue:
    """Turn floats into what `parse` returns for them."""
    match value:
        case float():
            return Decimal(repr(value))
        case list():
            return [as_parsed(item) for item in value]
        case dict():
            return {key: as_parsed(item) for key, item in value.items()}
        case None | bool() | int() | str():
            return value
        case _:
            raise TypeError(value)


def shuffled(value: object) -> object:
    if isinstance(value, dict):
        members = [(key, shuffled(item)) for key, item in value.items()]
        random.shuffle(members)
        return dict(members)
    return [shuffled(item) for item in value] if isinstance(value, list) else value


def test_a_known_body_has_a_known_digest() -> None:
    # printf '{"a":1,"b":[true,null,"x"]}' | sha256sum
    digest = body_digest(parse(b'{ "b": [true, null, "x"], "a": 1.0 }'))
    assert digest == "sha256:eca8cfb31ab74533e1eb2f4c74d2d55dfe3c79ac704787e54be8647ea7777eb1"


@pytest.mark.parametrize("spelling", [b"100000", b"100000.0", b"1e5", b"1E+5", b"100000.000", b"0.1e6"])
def test_the_spelling_of_a_number_does_not_count(spelling: bytes) -> None:
    assert body_digest(parse(spelling)) == body_digest(100_000)


def test_a_number_and_its_text_differ() -> None:
    values: list[JsonValue] = [1, "1", True, None, [1], {"1": 1}]
    assert len(set(map(body_digest, values))) == len(values)


def test_an_unknown_field_counts() -> None:
    assert body_digest({"a": 1}) != body_digest({"a": 1, "unknown": None})


def test_a_huge_integer_counts_as_its_double() -> None:
    assert body_digest(10**300) == body_digest(Decimal("1e300"))
    assert body_digest(2**53 + 1) == body_digest(2**53)
    assert canonical_text(10**22) == "1e+22"


def test_keys_are_sorted_by_utf_16_units() -> None:
    # U+1F600 is a surrogate pair from U+D83D and therefore comes before U+FB33.
    assert canonical_text({"\ufb33": 1, "\U0001f600": 2, "a": 3}) == '{"a":3,"\U0001f600":2,"\ufb33":1}'


@given(_values)
def test_it_is_the_canonical_form_of_the_reference_library(value: object) -> None:
    assert canonical_text(as_parsed(value)).encode() == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(digits=st.integers(-(10**19), 10**19), point=st.integers(0, 24), zeros=st.integers(0, 6))
@example(digits=-1, point=7, zeros=0)
@example(digits=999_999_999_999_999, point=1, zeros=0)
@example(digits=2**53 + 1, point=1, zeros=1)
@example(digits=0, point=3, zeros=0)
def test_a_number_is_written_as_its_double_would_be(digits: int, point: int, zeros: int) -> None:
    number = Decimal(f"{Decimal(digits).scaleb(-point - 1):f}{'0' * zeros}")

    assert canonical_text(number) == rfc8785.dumps(float(number)).decode()
    assert canonical_text(digits) == rfc8785.dumps(float(digits)).decode()


@given(_values)
def test_neither_order_nor_layout_counts(value: object) -> None:
    one = json.dumps(value).encode()
    other = json.dumps(shuffled(value), indent=1, ensure_ascii=False).encode()
    assert body_digest(as_parsed(json.loads(one))) == body_digest(as_parsed(json.loads(other)))
