"""The demo's trades, what is expected of them, and how it is told when something is missing or wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from schemas import strict_json
from schemas.examples import example_filled, example_rejected
from schemas.rpm_output import read_rpm_output
from worker.cli.demo.conversation import Arrival, Story
from worker.cli.demo.report import Bar, shortcomings, show_letters, show_outcomes, show_times, stage_times
from worker.cli.demo.terminal_calls import TerminalCalls
from worker.cli.demo.trades import Expected, Sample, mistakes, samples
from worker.cli.show import console
from worker.ledger.desk import LetterLine

FILLED = json.loads(example_filled().to_bytes())
RECEIVED = datetime.fromisoformat(FILLED["received_at"])
SAMPLE = Sample("a pair", "EURUSD", b"{}", Expected("filled", None, "100000", 1, 1))


def _story(sample: Sample = SAMPLE, *told: dict[str, Any]) -> Story:
    arrived = RECEIVED + timedelta(milliseconds=100)
    arrivals = [Arrival(arrived, json.dumps(one).encode(), one) for one in told]
    return Story(sample, RECEIVED - timedelta(milliseconds=5), arrivals)


def _letter(execution_id: str) -> LetterLine:
    return LetterLine(
        id=UUID(int=1),
        reason="schema_invalid",
        detail="units must be a number",
        state="new",
        account="main",
        trade_id=None,
        execution_id=UUID(execution_id),
        source_queue="trades.dead",
        failed_at=None,
        taken_in_at=RECEIVED,
        state_by=None,
        state_reason=None,
        state_at=None,
    )


class TestSamples:
    def test_they_are_about_twenty_with_names_of_their_own(self) -> None:
        drawn = samples()

        assert 18 <= len(drawn) <= 25
        assert len({sample.correlation_id for sample in drawn}) == len(drawn)

    def test_all_kinds_of_endings_are_among_them(self) -> None:
        assert {sample.expected.status for sample in samples()} == {
            "filled",
            "partially_filled",
            "rejected",
            "expired",
            "unresolved",
        }

    def test_all_but_the_broken_one_are_valid_messages(self) -> None:
        for sample in samples():
            if sample.expected.reason != "schema_invalid":
                read_rpm_output(strict_json.parse(sample.body))


class TestMistakes:
    def test_what_is_as_expected_has_none(self) -> None:
        assert mistakes(SAMPLE, FILLED) == []

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"status": "rejected"}, "status should be filled, is rejected"),
            ({"rejection_reason": "stale_tick"}, "reason should be None, is stale_tick"),
            ({"executed_units": 60_000}, "executed units should be 100000, is 60000"),
            ({"deals": []}, "deals should be 1, is 0"),
            ({"attempts": 2}, "attempts should be 1, is 2"),
        ],
    )
    def test_each_difference_is_a_sentence(self, change: dict[str, Any], said: str) -> None:
        [sentence] = mistakes(SAMPLE, FILLED | change)

        assert sentence == f"EURUSD (a pair): {said}"

    def test_slippage_counts_where_it_is_expected(self) -> None:
        slipped = replace(SAMPLE, expected=replace(SAMPLE.expected, pips=3))

        assert mistakes(slipped, FILLED | {"adverse_slippage_pips": 3.4}) == []
        assert "pips of slippage" in mistakes(slipped, FILLED)[0]
        assert "is None" in mistakes(slipped, FILLED | {"adverse_slippage_pips": None})[0]


class TestShortcomings:
    def test_nothing_came(self) -> None:
        assert shortcomings([_story()], []) == ["EURUSD (a pair): 0 of 1 confirmations came"]

    def test_the_second_copy_differs(self) -> None:
        twice = replace(SAMPLE, copies=2)

        [sentence] = shortcomings([_story(twice, FILLED, FILLED | {"version": 2})], [])

        assert "differ" in sentence

    def test_a_dead_letter_is_missing(self) -> None:
        for_a_person = replace(SAMPLE, for_a_person=True)

        assert "no dead letter" in shortcomings([_story(for_a_person, FILLED)], [])[0]
        assert shortcomings([_story(for_a_person, FILLED)], [_letter(FILLED["execution_id"])]) == []

    def test_a_dead_letter_too_many(self) -> None:
        assert "a dead letter came" in shortcomings([_story(SAMPLE, FILLED)], [_letter(FILLED["execution_id"])])[0]


class TestTimes:
    def test_the_stages_add_up_to_the_whole(self) -> None:
        stages, total = stage_times(_story(SAMPLE, FILLED))

        assert stages[0] == pytest.approx(5)
        assert sum(stage or 0 for stage in stages) == pytest.approx(total) == pytest.approx(105)

    def test_a_stage_that_was_not_reached_has_no_time(self) -> None:
        rejected = json.loads(example_rejected().to_bytes())

        stages, total = stage_times(_story(SAMPLE, rejected))

        assert stages[1:4] == [None, None, None]
        assert sum(stage or 0 for stage in stages) == pytest.approx(total)

    def test_terminal_calls_of_a_trade_and_polls_while_it_was_open_are_counted(self, tmp_path: Path) -> None:
        submitted = datetime.fromisoformat(FILLED["submitted_at"])

        def call(ended: datetime, ms: float, execution_id: str | None) -> str:
            line = {"event": "terminal_called", "ms": ms, "timestamp": ended.astimezone(UTC).isoformat()}
            return json.dumps(line if execution_id is None else line | {"execution_id": execution_id})

        log = tmp_path / "worker.log"
        log.write_text(
            "\n".join(
                [
                    "not a line of JSON",
                    "[1]",
                    call(submitted, 7, FILLED["execution_id"]),
                    call(submitted, 90, "another"),
                    call(submitted + timedelta(milliseconds=2), 4, None),  # half of it before the send
                    call(submitted - timedelta(seconds=1), 4, None),
                ]
            )
        )

        assert TerminalCalls(log).of(_story(SAMPLE, FILLED)) == pytest.approx(9)


class TestOutput:
    def test_the_tables_fit_80_columns(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        log = tmp_path / "worker.log"
        log.touch()
        told = FILLED | {"symbol": "BTCUSD.lostreply", "adverse_slippage_pips": -0.01}
        told |= {"status": "rejected", "rejection_reason": "volume_not_representable"}
        stories = [_story(SAMPLE, told)]

        show_outcomes(console(), stories)
        show_times(console(), stories, TerminalCalls(log))
        show_letters(console(), [_letter(FILLED["execution_id"])])

        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= 80
        assert "volume_not_representable" in out
        assert "-0.0" not in out

    def test_progress_is_a_line_each_where_there_is_no_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Bar(console(), 2) as bar:
            bar.tell(SAMPLE, _story(SAMPLE, FILLED).arrivals)
            bar.tell(SAMPLE, [])

        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["1/2", "EURUSD", "filled:", "a", "pair"]
        assert "nothing came" in lines[1]
        assert "\x1b" not in "".join(lines)
