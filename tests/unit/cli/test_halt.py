"""What `resume` says of a halt that it lifts while another one stands, and which symbols may be named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tests.unit.domain.stories import NOW
from worker.cli import halt
from worker.cli.app import app
from worker.domain.halts import Halt, Halts

OF_ACCOUNT = Halt("odd fills", "ann", NOW)
OF_SYMBOL = replace(OF_ACCOUNT, symbol="EURUSD")


@pytest.mark.parametrize("command", ["halt", "resume"])
@pytest.mark.parametrize("name", ["", " "])
def test_a_symbol_without_a_name_is_wrong_usage(command: str, name: str) -> None:
    done = CliRunner().invoke(app, [command, "--symbol", name, "--reason", "odd"])

    assert done.exit_code == 2
    assert "name a symbol" in done.stderr


@pytest.mark.parametrize(
    ("symbol", "lifted", "left", "said"),
    [
        (None, [OF_ACCOUNT], Halts(), "trades again"),
        (None, [OF_ACCOUNT], Halts(None, {"EURUSD": OF_SYMBOL}), "trades again"),
        (None, [], Halts(), "was not halted"),
        ("EURUSD", [OF_SYMBOL], Halts(), "trades again"),
        ("EURUSD", [OF_SYMBOL], Halts(OF_ACCOUNT), "is not halted by itself any more"),
        ("USDJPY", [OF_SYMBOL], Halts(OF_ACCOUNT), "was not halted"),
    ],
)
def test_it_says_what_has_become_of_each(symbol: str | None, lifted: list[Halt], left: Halts, said: str) -> None:
    assert halt._said(symbol, lifted, left) == said
