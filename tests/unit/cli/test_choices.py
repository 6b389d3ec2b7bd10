"""How the shared options read what was typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from worker.cli.choices import Reason, read_age, read_deal, read_moment, read_since, whoami
from worker.domain.attestation import AttestedDeal

_ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_MOMENTS = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1))  # noqa: DTZ001 - zones are drawn


@given(_MOMENTS)
def test_a_time_without_a_zone_is_utc(moment: datetime) -> None:
    assert read_moment(moment.isoformat()) == moment.replace(tzinfo=UTC)


@given(_MOMENTS, _ZONES)
def test_a_time_with_a_zone_is_that_instant(moment: datetime, zone: timezone) -> None:
    aware = moment.replace(tzinfo=zone)

    read = read_moment(aware.isoformat())

    assert read == aware
    assert read.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "yesterday", "12", "2026-13-01"])
def test_what_is_no_time_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="ISO 8601"):
        read_moment(text)


_AGE_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@given(st.integers(0, 5000), st.sampled_from(sorted(_AGE_UNITS)))
def test_an_age_is_a_whole_number_of_its_unit(count: int, unit: str) -> None:
    assert read_age(f"{count}{unit}") == timedelta(seconds=count * _AGE_UNITS[unit])
    assert read_age(f" {count}{unit.upper()} ") == read_age(f"{count}{unit}")


@pytest.mark.parametrize("text", ["", "15", "m", "-2h", "1.5h", "2 h", "2h30m", "999999999w", "36501d", "\u0663d"])
def test_what_is_no_age_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="15m, 2h"):
        read_age(text)


def test_since_is_told_as_a_time_or_as_an_age() -> None:
    before = datetime.now(UTC)

    ago = read_since("2h")

    assert before - timedelta(hours=2) <= ago <= datetime.now(UTC) - timedelta(hours=2)
    assert read_since("2026-03-02T09:30") == datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "36501d", "2026-13-01"])
def test_what_is_neither_a_time_nor_an_age_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="15m"):
        read_since(text)


@pytest.mark.parametrize(("typed", "code", "said"), [("odd fills ", 0, "odd fills"), ("  ", 2, "say why")])
def test_a_reason_has_words(typed: str, code: int, said: str) -> None:
    app = typer.Typer()

    @app.command()
    def act(reason: Reason) -> None:
        typer.echo(reason)

    done = CliRunner().invoke(app, ["--reason", typed])

    assert done.exit_code == code
    assert said in done.output


def test_whoever_types_is_named_with_the_host() -> None:
    user, _, host = whoami().partition("@")

    assert user
    assert host


class TestDeals:
    def test_a_ticket_alone_or_with_lots_and_price(self) -> None:
        assert read_deal("50012") == AttestedDeal(50012)
        assert read_deal("50012:0.10@1.08425") == AttestedDeal(50012, Decimal("0.10"), Decimal("1.08425"))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "x",
            "-1",
            "1:",
            "1:0.1",
            "1@1.1",
            "1:0.1@",
            "1:.1@1",
            "1:1e3@1",
            "1:0.1@1.1:2",
            "1,2",
            "\u0663",
            "1" * 20,
        ],
    )
    def test_anything_else_is_no_deal(self, text: str) -> None:
        with pytest.raises(typer.BadParameter, match="is no deal such as"):
            read_deal(text)

    @pytest.mark.parametrize("text", ["0", "1:0@1.1", "1:0.00@1.1", "1:0.1@0", "9223372036854775808"])
    def test_nothing_of_it_is_zero(self, text: str) -> None:
        with pytest.raises(typer.BadParameter, match="above zero"):
            read_deal(text)
