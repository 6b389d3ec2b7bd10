"""Reading JSON: the same bytes mean the same to everyone, or they are refused."""

from __future__ import annotations

import json
import time
import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.examples import example_rpm_output
from schemas.strict_json import MAX_BODY_BYTES, MAX_DEPTH, MalformedJson, MessageTooLarge, parse
from tests.fixtures.untraced import untraced

_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


def refusal(body: bytes) -> str:
    with pytest.raises(MalformedJson) as refused:
        parse(body)
    return refused.value.detail


def refusal_or_value(body: bytes) -> str:
    try:
        parse(body)
    except (MalformedJson, MessageTooLarge) as refused:
        return refused.detail
    return "a value"


class TestNumbers:
    def test_a_whole_number_is_an_int_and_any_other_an_exact_decimal(self) -> None:
        value = parse(b"[100000, 0.1, 1e3, -2.50]")

        assert value == [100000, Decimal("0.1"), Decimal(1000), Decimal("-2.50")]
        assert isinstance(value, list)
        assert [type(item) for item in value] == [int, Decimal, Decimal, Decimal]

    @pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
    def test_what_python_writes_for_no_number_is_refused(self, literal: str) -> None:
        assert f"{literal} is not a JSON number" in refusal(f'{{"a": {literal}}}'.encode())

    @pytest.mark.parametrize("literal", ["1e999", "-1e999", "1.8e308", "9" * 309, "1" + "0" * 309])
    def test_a_number_that_is_infinite_as_a_double_is_refused(self, literal: str) -> None:
        assert "infinite as a double" in refusal(literal.encode())

    @pytest.mark.parametrize("literal", ["1" * 4301, "0." + "1" * 500_000, "1e" + "9" * 5000])
    def test_a_number_with_very_many_digits_is_refused_unread(self, literal: str) -> None:
        assert "characters" in refusal(literal.encode())

    @pytest.mark.parametrize("literal", ["1e-400000000", "1e-99999999999999999999999", "-1e-325"])
    def test_a_number_too_small_for_a_double_is_refused(self, literal: str) -> None:
        refusal(literal.encode())

    @pytest.mark.parametrize("literal", ["0e999999999", "-0e-999999999", "0.0", "0.000e5"])
    def test_every_zero_is_zero(self, literal: str) -> None:
        assert str(parse(literal.encode())) == "0"

    def test_the_largest_double_is_read(self) -> None:
        assert parse(b"1.7976931348623157e308") == Decimal("1.7976931348623157e308")


class TestText:
    @pytest.mark.parametrize(
        ("body", "named"),
        [
            (rb'"\u0000"', "U+0000"),
            (rb'{"\u0000": 1}', "U+0000"),
            (rb'[[{"a": "\ud800"}]]', "U+D800"),
            (rb'"\uDFFF x"', "U+DFFF"),
            (rb'{"\udc00\ud800": 1}', "U+DC00"),
        ],
    )
    def test_text_that_cannot_be_stored_is_refused_wherever_it_stands(self, body: bytes, named: str) -> None:
        assert named in refusal(body)

    def test_a_raw_zero_byte_is_refused(self) -> None:
        refusal(b'"a\x00b"')

    def test_a_surrogate_pair_is_one_character(self) -> None:
        assert parse(rb'"\ud83d\ude00"') == "\N{GRINNING FACE}"

    def test_an_escaped_backslash_before_u0000_is_plain_text(self) -> None:
        assert parse(rb'"\\u0000"') == r"\u0000"

    @pytest.mark.parametrize("body", [b"\xff", b'"\xed\xa0\x80"', b'"\xc0\x80"', '"ä"'.encode("latin-1")])
    def test_what_is_not_utf_8_is_refused(self, body: bytes) -> None:
        assert "not UTF-8" in refusal(body)

    def test_a_byte_order_mark_is_refused_by_name(self) -> None:
        assert "byte order mark" in refusal(b"\xef\xbb\xbf{}")


class TestStructure:
    @pytest.mark.parametrize("body", [b'{"a":1,"a":1}', rb'{"a":1,"\u0061":2}', b'[{"b":{"c":1,"c":[]}}]'])
    def test_two_equal_keys_are_refused(self, body: bytes) -> None:
        assert "more than once" in refusal(body)

    @pytest.mark.parametrize(
        "body", [b"", b"  \n", b"{} x", b"{}{}", b"{'a': 1}", b"[1,]", b"01", b"tru", b'"\\', b"]"]
    )
    def test_what_is_not_json_is_refused(self, body: bytes) -> None:
        assert refusal(body)

    def test_nesting_is_read_up_to_the_limit(self) -> None:
        parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
        assert "levels deep" in refusal(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))

    @pytest.mark.parametrize("body", [b"[" * 1_000_000, b'{"a":' * 200_000, b'[{"a":' * 100_000])
    def test_a_tower_of_brackets_is_refused_without_climbing_it(self, body: bytes) -> None:
        assert "levels deep" in refusal(body)

    def test_brackets_in_text_do_not_nest(self) -> None:
        text = '[{"\\"[' * 100
        assert parse(json.dumps([text, text]).encode()) == [text, text]

    def test_many_flat_lists_are_not_deep(self) -> None:
        assert parse(b"[" + b"[]," * 1000 + b"[]]") == [[]] * 1001


class TestLimits:
    def test_a_body_over_the_limit_is_refused_before_it_is_read(self) -> None:
        with pytest.raises(MessageTooLarge, match="1048577 bytes"):
            parse(b"\xff" * (MAX_BODY_BYTES + 1))

    def test_a_body_at_the_limit_is_read(self) -> None:
        assert parse(b'"' + b"a" * (MAX_BODY_BYTES - 2) + b'"') == "a" * (MAX_BODY_BYTES - 2)

    @pytest.mark.parametrize(
        "body",
        [
            b'"\\' + b'"\\' * (MAX_BODY_BYTES // 2 - 1),
            b"[" + b'"\\"' * (MAX_BODY_BYTES // 3 - 20) + b"[" * 40,
            b"[" + b"[]," * (MAX_BODY_BYTES // 3 - 2) + b"[]]",
            b"[" + b"1e-9," * (MAX_BODY_BYTES // 5 - 2) + b"1]",
            b"[" + rb'"\ud83d\ude00",' * (MAX_BODY_BYTES // 15 - 2) + b"1]",
        ],
        ids=["open string", "quotes", "brackets", "numbers", "escapes"],
    )
    def test_no_body_costs_more_than_its_length_in_time_and_memory(self, body: bytes) -> None:
        tracemalloc.start()
        started = time.process_time()
        try:
            with untraced():
                parse(body)
        except MalformedJson:
            pass
        finally:
            took = time.process_time() - started
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()

        # A quadratic reader would need minutes; a shared machine may need seconds.
        assert took < 20
        assert peak < 100 * MAX_BODY_BYTES


class TestProperties:
    @given(st.binary(max_size=200))
    @example(b"[" * 100_000)
    @example(b'{"a":1e-999999999999999999999999999999}')
    def test_no_bytes_raise_anything_but_a_short_refusal(self, body: bytes) -> None:
        assert len(refusal_or_value(body)) < 400

    @given(st.text(alphabet='{}[]",:\\u0d8e1.+-NI tfn', max_size=60))
    def test_no_text_that_resembles_json_does_either(self, text: str) -> None:
        try:
            parse(text.encode())
        except MalformedJson:
            return
        # What was read here is what Python's own, more lenient reader reads.
        assert json.loads(text, parse_float=Decimal) == parse(text.encode())

    @given(_json_values)
    def test_what_any_sender_writes_is_read_as_it_was(self, value: object) -> None:
        try:
            read = parse(json.dumps(value).encode())
        except MalformedJson:
            assert "\\u0000" in json.dumps(value) or "\\ud" in json.dumps(value) or _is_deep(value)
            return
        assert json.loads(json.dumps(value), parse_float=Decimal) == read

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_every_double_is_read_exactly(self, double: float) -> None:
        read = parse(json.dumps(double).encode())
        assert isinstance(read, Decimal)
        assert float(read) == double


def _is_deep(value: object) -> bool:
    return json.dumps(value).count("[") + json.dumps(value).count("{") > MAX_DEPTH


def test_a_typical_message_is_read() -> None:
    message = example_rpm_output()
    assert json.loads(json.dumps(message), parse_float=Decimal) == parse(json.dumps(message).encode())
