"""How the shared options read what was typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from worker.cli.choices import Reason, read_moment, whoami

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
