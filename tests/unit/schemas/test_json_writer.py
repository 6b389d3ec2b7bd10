"""Writing JSON: by a table of types, to the same letters as by asking each value what it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from schemas.endings import RejectionReason
from schemas.json_writer import written
from schemas.text import find_unstorable, storable


class Side(IntEnum):
    BUY = 1


class Part(BaseModel):
    name: object
    more: object = None


class Whole(Part):
    pass


_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis takes naive bounds
    | st.sampled_from([*RejectionReason, Side.BUY])
)
_values = st.recursive(
    _scalars,
    lambda children: (
        st.lists(children, max_size=4).map(tuple)
        | st.builds(Part, name=children, more=children)
        | st.builds(Whole, name=children)
    ),
    max_leaves=12,
)


def slowly(value: object) -> str:
    match value:
        case BaseModel():
            return "{" + ",".join(f'"{name}":{slowly(part)}' for name, part in value) + "}"
        case tuple():
            return "[" + ",".join(map(slowly, value)) + "]"
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case Decimal():
            return f"{value:f}"
        case int():
            return f"{value:d}"
        case datetime():
            return f'"{value:%Y-%m-%dT%H:%M:%S.%f}Z"'
        case _:
            raise AssertionError(value)


@given(_values)
def test_a_value_is_written_by_what_it_is(value: object) -> None:
    assert written(value) == slowly(value)


class Other(StrEnum):
    ONE = "one"


@pytest.mark.parametrize("value", [1.5, b"", [], {}, (1, 2.0), Part(name=1.5), Other])
def test_what_has_no_json_is_refused_each_time(value: object) -> None:
    for _ in range(2):
        with pytest.raises(TypeError, match="no JSON is defined for"):
            written(value)


def test_a_type_met_for_the_first_time_is_written_as_what_it_extends() -> None:
    assert written(Other.ONE) == '"one"'


@given(st.text(st.characters()))
def test_storable_text_has_nothing_that_cannot_be_stored_and_all_the_rest(text: str) -> None:
    kept = storable(text)

    assert find_unstorable(kept) is None
    assert [one for one in zip(text, kept, strict=True) if one[0] != one[1]] == [
        (one, "\ufffd") for one in text if one == "\0" or "\ud800" <= one <= "\udfff"
    ]
