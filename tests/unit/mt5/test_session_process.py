"""The child's loop: one line in, one line out, until the parent has gone."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.terminal import an_order
from worker.mt5 import wire
from worker.mt5.session_process import Desk, serve
from worker.mt5.watchdog import Watchdog
from worker.mt5.wire import Opening


def _served(desk: Desk, *lines: bytes) -> list[dict[str, object]]:
    answers = io.BytesIO()
    serve(io.BytesIO(b"".join(lines)), answers, desk)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def _opening(tmp_path: Path) -> bytes:
    return wire.OPEN.ask(Opening("main", "simulated", book=tmp_path / "book.sqlite", symbols=("EURUSD",)))


def test_it_opens_answers_and_ends_with_its_input(tmp_path: Path) -> None:
    opened, health = _served(Desk(), _opening(tmp_path), wire.HEALTH.ask(None))
    assert opened["answer"]
    assert health["answer"]


def test_a_command_that_was_cut_off_is_not_executed(tmp_path: Path) -> None:
    answers = _served(Desk(), _opening(tmp_path), wire.HEALTH.ask(None)[:-1])
    assert len(answers) == 1


@pytest.mark.parametrize("line", [b"no json\n", b'{"command":"unheard"}\n', b'{"command":"open","requests":[{}]}\n'])
def test_a_line_that_makes_no_sense_is_a_defect_and_no_end(line: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    assert ["defect" in answer for answer in _served(Desk(), line, line)] == [True, True]
    assert "Traceback" in capsys.readouterr().err


def test_nothing_works_before_the_terminal_is_open(capsys: pytest.CaptureFixture[str]) -> None:
    (answer,) = _served(Desk(), wire.HEALTH.ask(None))
    assert "defect" in answer
    capsys.readouterr()


def test_what_the_terminal_cannot_do_is_told(tmp_path: Path) -> None:
    opening = Opening("main", "simulated", book=tmp_path / "book.sqlite", login=1)
    (answer,) = _served(Desk(), wire.OPEN.ask(opening))
    assert "Authorization failed" in str(answer["unavailable"])


def test_an_answer_that_finds_nobody_ends_it_before_it_begins_anything_more_of_the_line(tmp_path: Path) -> None:
    # Given a parent that has ended when the first of three orders is answered
    class Gone(io.BytesIO):
        def write(self, line: Any) -> int:
            if b"retcode" in bytes(line):
                raise BrokenPipeError
            return super().write(line)

    line = wire.SUBMIT.ask(*(an_order(symbol) for symbol in ("EURUSD", "GBPUSD", "USDJPY")))
    with pytest.raises(BrokenPipeError):
        serve(io.BytesIO(_opening(tmp_path) + line), Gone(), Desk())

    with closing(sqlite3.connect(tmp_path / "book.sqlite")) as book:
        assert book.execute("SELECT symbol FROM orders").fetchall() == [("EURUSD",)]


def test_an_answer_that_the_pipe_takes_in_parts_is_written_whole(tmp_path: Path) -> None:
    # Given a pipe that takes a thousand bytes at a time
    class Narrow(io.BytesIO):
        def write(self, line: Any) -> int:
            return super().write(bytes(line)[:1000])

    answers = Narrow()
    serve(io.BytesIO(_opening(tmp_path) + wire.INSTRUMENTS.ask(())), answers, Desk())

    # Then both answers arrive as they are
    opened, instruments = answers.getvalue().splitlines()
    assert len(instruments) > 1000
    assert wire.OPEN.read_answer(opened).venue.backend == "simulated"
    assert "EURUSD" in {instrument.symbol for instrument in wire.INSTRUMENTS.read_answer(instruments)}


def test_the_watchdog_guards_the_terminal_s_end_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a terminal that may hang when it is left, and whose process has no parent any more to end it
    armed: list[bool] = []
    monkeypatch.setattr(Watchdog, "feed", lambda *_: armed.append(True))
    monkeypatch.setattr(Watchdog, "rest", lambda _: armed.append(False))
    armed_at_its_end: list[bool] = []

    class Hanging(Desk):
        def close(self) -> None:
            armed_at_its_end.append(armed[-1])
            super().close()

    # When the commands end, then the watchdog is armed until the terminal has been left
    serve(io.BytesIO(_opening(tmp_path)), io.BytesIO(), Hanging())
    assert (armed_at_its_end, armed[-1]) == ([True], False)


def test_one_request_s_defect_is_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders = [wire.SUBMIT.ask(an_order(symbol)) for symbol in ("EURUSD", "GBPUSD")]
    first, last = (line[line.index(b"[") + 1 : -3] for line in orders)
    line = b'{"command":"submit","requests":[%s,{},%s]}\n' % (first, last)
    _, *answers = _served(Desk(), _opening(tmp_path), line)
    assert [next(iter(answer)) for answer in answers] == ["answer", "defect", "answer"]
    capsys.readouterr()
