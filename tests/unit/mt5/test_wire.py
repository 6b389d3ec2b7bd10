"""What one side of the pipe writes, the other reads: exactly the same values."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.errors import TerminalUnavailable
from worker.domain.instrument import Instrument
from worker.domain.market import (
    BrokerDeal,
    BrokerOrder,
    CancelReport,
    Custody,
    Health,
    OrderRequest,
    Poll,
    PollRequest,
    QuoteRequest,
    Search,
    SearchRequest,
    SendReport,
)
from worker.mt5 import wire
from worker.mt5.file_lock import TerminalInUse
from worker.mt5.wire import CancelRequest, Command, Market, Opening, Quotation, Standing, TerminalUnreachable

_decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=10)
_times = st.datetimes(timezones=st.just(UTC))
_json = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text())
for kind, strategy in {Decimal: _decimals, datetime: _times}.items():
    st.register_type_strategy(kind, strategy)


def _any(kind: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **fields)


_instruments = _any(Instrument)
_markets = _any(Market, instrument=st.none() | _instruments)
_orders, _deals = _any(BrokerOrder), _any(BrokerDeal)


@pytest.mark.parametrize(
    ("command", "requests"),
    [
        (wire.QUOTE, st.lists(_any(QuoteRequest)).map(tuple)),
        (wire.SUBMIT, _any(OrderRequest, send_before_monotonic=st.floats(0, 1e9))),
        (wire.POLL, _any(PollRequest)),
        (wire.SEARCH, _any(SearchRequest)),
        (wire.CANCEL, _any(CancelRequest)),
        (wire.OPEN, _any(Opening, book=st.none(), call_timeout=st.floats(0, 100))),
        (wire.INSTRUMENTS, st.lists(st.text()).map(tuple)),
        (wire.ORDER, st.integers(0, 2**64)),
        (wire.HEALTH, st.none()),
        (wire.STANDING, st.none()),
    ],
    ids=lambda value: value.name if isinstance(value, Command) else "",
)
@given(data=st.data())
def test_requests_arrive_as_they_were(command: Command[Any, Any], requests: Any, data: st.DataObject) -> None:
    request = data.draw(requests)
    line = command.ask(request)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line)["command"] == command.name
    assert [command.read_request(one) for one in wire.requests_of(line)] == [request]


@pytest.mark.parametrize(
    ("command", "answers"),
    [
        (wire.QUOTE, _any(Quotation, markets=st.dictionaries(st.text(), _markets))),
        (wire.SUBMIT, _any(SendReport, request=_json, reply=st.none() | _json)),
        (wire.POLL, _any(Poll, orders=st.lists(_orders).map(tuple), deals=st.lists(_deals).map(tuple))),
        (wire.CANCEL, _any(CancelReport, request=_json, reply=st.none() | _json)),
        (wire.INSTRUMENTS, st.lists(_instruments).map(tuple)),
        (wire.HEALTH, _any(Health)),
        (wire.STANDING, _any(Standing)),
        (wire.SEARCH, _any(Search, custody=st.dictionaries(st.text(), _any(Custody)))),
    ],
    ids=lambda value: value.name if isinstance(value, Command) else "",
)
@given(data=st.data())
def test_answers_arrive_as_they_were(command: Command[Any, Any], answers: Any, data: st.DataObject) -> None:
    answer = data.draw(answers)
    line = command.reply(answer)
    assert line.count(b"\n") == 1
    assert command.read_answer(line) == answer


def test_troubles_are_answers_too() -> None:
    with pytest.raises(TerminalUnavailable, match="logged out"):
        wire.HEALTH.read_answer(wire.unavailable(TerminalUnavailable("logged out")))
    with pytest.raises(wire.Defect, match="KeyError"):
        wire.HEALTH.read_answer(wire.defect("KeyError: 'x'"))


@pytest.mark.parametrize("line", [b"no json", b'{"answer":{"connected":"perhaps"}}'])
def test_an_answer_that_cannot_be_read_is_a_defect(line: bytes) -> None:
    with pytest.raises(wire.Defect, match="answer to health cannot be read"):
        wire.HEALTH.read_answer(line)


def test_a_password_does_not_show() -> None:
    assert "hunter2" not in repr(Opening("main", "native", password="hunter2"))  # noqa: S106 - made up


@pytest.mark.parametrize("kind", [TerminalInUse, TerminalUnreachable])
def test_why_a_terminal_is_not_available_is_told_with_its_kind(kind: type[TerminalUnavailable]) -> None:
    with pytest.raises(kind, match="another process") as told:
        wire.HEALTH.read_answer(wire.unavailable(kind("another process")))
    assert type(told.value) is kind


def test_the_child_s_own_kinds_of_trouble_reach_the_parent_as_what_they_are_a_kind_of() -> None:
    class OfTheChildAlone(TerminalUnavailable):
        pass

    with pytest.raises(TerminalUnavailable) as told:
        wire.HEALTH.read_answer(wire.unavailable(OfTheChildAlone("x")))
    assert type(told.value) is TerminalUnavailable


def test_a_terminal_has_one_name_whoever_opens_it_and_another_one_another() -> None:
    one = Opening("a", "native", terminal=r"C:\MT5\terminal64.exe")
    assert replace(one, session="b", symbols=("EURUSD",), restart=True).sender == one.sender
    assert replace(one, terminal="c:/mt5/./Terminal64.exe").sender == one.sender
    assert replace(one, terminal=r"D:\MT5\terminal64.exe").sender != one.sender
    book = Opening("a", "simulated", book=Path("book"))
    assert replace(book, session="b").sender != book.sender
