"""`mt5-worker instruments`: what RPM may size to, and what an operator must still set."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Self

import pytest

from tests.unit.domain.stories import an_instrument
from worker import bootstrap
from worker.cli import instruments
from worker.domain.instrument import Instrument
from worker.mt5.pool import MT5ConnectionPool


class Terminal(MT5ConnectionPool):
    """Shows what the story has put into it; nothing is opened."""

    def __init__(self, *shown: Instrument) -> None:
        self.shown = shown

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def session(self, _timeout: float = 0) -> Terminal:  # type: ignore[override]
        return self

    def instruments(self, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
        return tuple(one for one in self.shown if not symbols or one.symbol in symbols)


silver = an_instrument(
    symbol="XAGUSD",
    base="XAG",
    digits=3,
    point=Decimal("0.001"),
    tick_size=Decimal("0.005"),
    contract_size=Decimal(5000),
    volume_min=Decimal("0.05"),
    volume_step=Decimal("0.1"),
    volume_limit=Decimal(20),
    trade_mode=3,
)


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MT5_BACKEND", "simulated")
    monkeypatch.setattr("worker.cli.parts.configure_logging", lambda *_: None)
    monkeypatch.setattr(bootstrap, "terminal_pool", lambda *_: Terminal(an_instrument(), silver))


def test_sizes_are_those_that_can_be_executed(capsys: pytest.CaptureFixture[str]) -> None:
    instruments.instruments(["XAGUSD"], as_json=True)

    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["contract_size"], listed["step_units"]) == (5000, 500)
    assert (listed["minimum_units"], listed["maximum_units"]) == (500, 100_000)
    assert (listed["tick_size"], listed["pip_size"]) == (0.005, None)
    assert (listed["calculated_as"], listed["tradable"]) == ("forex", "close only")


def test_a_symbol_without_a_pip_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    instruments.instruments([], as_json=False)

    out = capsys.readouterr().out
    assert "No pip size is known for XAGUSD." in out
    assert """PIP_SIZES='{"XAGUSD": 0.1}'""" in out


def test_nothing_is_said_of_pips_where_all_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    instruments.instruments(["EURUSD"], as_json=False)

    out = capsys.readouterr().out
    assert "0.0001" in out
    assert "PIP_SIZES" not in out
