"""Of several halts that stand for a trade, the one that rejects decides; each is put and lifted by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.stories import NOW
from worker.domain.halts import Halt, Halts

HALT = Halt("odd fills", "ann", NOW)
HOLD = replace(HALT, hold=True)
EURUSD, EURUSD_HELD = replace(HALT, symbol="EURUSD"), replace(HOLD, symbol="EURUSD")


@pytest.mark.parametrize(
    ("of_account", "of_symbol", "decides"),
    [
        (None, None, None),
        (HOLD, None, HOLD),
        (None, EURUSD_HELD, EURUSD_HELD),
        (HOLD, EURUSD_HELD, HOLD),
        (HALT, EURUSD, HALT),
        (HALT, EURUSD_HELD, HALT),
        (HOLD, EURUSD, EURUSD),
    ],
)
def test_the_stricter_decides(of_account: Halt | None, of_symbol: Halt | None, decides: Halt | None) -> None:
    halts = Halts()
    for halt in filter(None, (of_account, of_symbol)):
        halts = halts.put(halt)

    assert halts.of("EURUSD") == decides
    assert halts.of("USDJPY") == of_account


def test_it_says_who_and_why() -> None:
    assert str(HALT) == "halted by ann: odd fills"
    assert str(EURUSD) == "EURUSD is halted by ann: odd fills"


SYMBOLS = st.sampled_from([None, "EURUSD", "USDJPY", "XAUUSD"])


@given(st.lists(st.tuples(SYMBOLS, st.sampled_from(["halt", "hold", "lift"]))))
def test_each_is_what_was_last_said_of_it(changes: list[tuple[str | None, str]]) -> None:
    halts, expected = Halts(), dict[str | None, Halt]()
    for symbol, change in changes:
        if change == "lift":
            halts = halts.lifted(symbol)
            expected.pop(symbol, None)
        else:
            expected[symbol] = replace(HALT, symbol=symbol, hold=change == "hold")
            halts = halts.put(expected[symbol])

    assert list(halts) == sorted(expected.values(), key=lambda halt: halt.symbol or "")
    for symbol in ("EURUSD", "USDJPY", "XAUUSD", None):
        assert halts.on(symbol) == expected.get(symbol)
