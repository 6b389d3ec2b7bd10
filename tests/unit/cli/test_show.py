"""JSON for programs, text for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from worker.cli import show
from worker.domain.execution import State

MOMENT = datetime(2026, 3, 2, 9, 30, 0, 412_345, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (MOMENT, '"2026-03-02T09:30:00.412345Z"'),
        (Decimal("1.08425"), "1.08425"),
        (Decimal("100000.00"), "100000"),
        (Decimal("0.00"), "0"),
        (UUID(int=7), '"00000000-0000-0000-0000-000000000007"'),
        (State.FILLED, '"filled"'),
        (b'{"a": 1}\xff', '"{\\"a\\": 1}\\\\xff"'),
        (None, "null"),
    ],
)
def test_values_become_json(value: object, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show.print_json_line(value)

    assert capsys.readouterr().out == f"{text}\n"


def test_what_json_cannot_carry_is_a_defect() -> None:
    with pytest.raises(TypeError, match="complex"):
        show.print_json_line(1j)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**7), max_value=10**7))
def test_decimals_up_to_fifteen_digits_survive_json(number: Decimal) -> None:
    assert Decimal(str(json.loads(json.dumps(number, default=show.plain)))) == number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        (MOMENT, "2026-03-02 09:30:00.412"),
        (Decimal("1000.000"), "1000"),
        (Decimal("1E+3"), "1000"),
        (7, "7"),
    ],
)
def test_values_become_words(value: object, text: str) -> None:
    assert show.words(value) == text


@given(st.text())
def test_nothing_that_others_wrote_can_take_over_the_terminal(text: str) -> None:
    shown = show.cell(text).plain

    assert not any(ord(letter) < 0x20 and letter != "\n" for letter in shown)
    assert not any(0x7F <= ord(letter) < 0xA0 for letter in shown)


def test_an_escape_sequence_and_markup_are_shown_as_they_are() -> None:
    assert show.cell("\x1b[2J [red]x[/red]").plain == "\\x1b[2J [red]x[/red]"


@pytest.mark.parametrize("steering", ["\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\ud800"])
def test_what_turns_text_around_or_takes_no_room_is_shown_as_its_number(steering: str) -> None:
    assert show.cell(f"a{steering}b").plain == f"a\\u{ord(steering):04x}b"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0.0 ms"),
        (0.0085, "8.5 ms"),
        (1.234, "1.23 s"),
        (59.999, "60.00 s"),
        (125, "2 m 5 s"),
        (11_520, "3 h 12 m"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_length_of_time_is_written_in_the_units_it_is_thought_of(seconds: float, written: str) -> None:
    assert show.duration(seconds) == written


@given(st.floats(0, 36_500 * 86_400))
def test_every_length_of_time_fits_its_column(seconds: float) -> None:
    assert len(show.duration(seconds)) <= 12


def test_a_table_fits_80_columns_and_keeps_ids_whole(capsys: pytest.CaptureFixture[str]) -> None:
    name = str(UUID(int=2**127))

    show.print_table(["id", "words"], [[name, "many words " * 20]], none="nothing", whole=["id"])

    out = capsys.readouterr().out
    assert name in out
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_an_empty_table_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    show.print_table(["id"], [], none="nothing fits")

    assert capsys.readouterr().out == "nothing fits\n"


def test_the_name_of_a_field_is_no_markup_either(capsys: pytest.CaptureFixture[str]) -> None:
    show.print_fields({"header [bold]x[/bold]\x1b[2J": 1})

    assert capsys.readouterr().out.split() == ["header", "[bold]x[/bold]\\x1b[2J", "1"]


def test_fields_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show.print_fields({"account": "main", "halt": None})

    assert capsys.readouterr().out.split() == ["account", "main"]


@given(st.text(max_size=200))
def test_a_senders_name_takes_no_more_room_than_an_id(name: str) -> None:
    assert cell_len(show.shortened(name)) <= len(str(UUID(int=0)))


@pytest.mark.parametrize("name", ["円" * 18, "RPM-20260302-000042", str(UUID(int=1))])
def test_a_name_that_fits_is_left_as_it_is(name: str) -> None:
    assert show.shortened(name) == name
