"""What `dlq replay` says of many letters fits a screen, and what others wrote is shown, never obeyed."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from worker.cli.dlq.replay_report import Report
from worker.ledger.replay_plan import PlannedReplay
from worker.ledger.replay_round import End, Outcome
from worker.pipeline.prospects import Fate, Prospect


def a_plan(number: int, fate: Fate = Fate.WILL_TRADE, detail: str = "is taken as new") -> PlannedReplay:
    prospect = Prospect(fate, detail)
    return PlannedReplay(UUID(int=number), "main", "internal_error", f"RPM-{number}", None, prospect)


def replayed(*plans: PlannedReplay, is_bulk: bool = True, as_json: bool = False) -> Report:
    """Return the report of a run in which everything possible went."""
    report = Report(plans, is_bulk=is_bulk, as_json=as_json)
    for letter_id in report.possible:
        report.tell(Outcome(letter_id, replay_id=letter_id))
    return report


def test_how_many_ended_is_counted_whole_and_listed_in_part(capsys: pytest.CaptureFixture[str]) -> None:
    report = replayed(*map(a_plan, range(60)))
    report.ends = {
        UUID(int=n): End(UUID(int=n), "failed_again" if n == 7 else "resolved", None, None) for n in range(60)
    }

    report.finish()

    out = capsys.readouterr().out
    assert "... and 10 more; --json has them all" in out
    assert out.endswith("60 dead letters replayed: 59 resolved, 1 failed again\n")
    assert not report.is_success


def test_of_very_many_refusals_some_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report([a_plan(number) for number in range(60)], is_bulk=True, as_json=False)
    for letter_id in report.possible:
        report.tell(Outcome(letter_id, refusal=f"dead letter {letter_id} is replaying by bob"))

    report.finish()

    lines = capsys.readouterr().err.splitlines()
    assert (len(lines), lines[-1]) == (51, "... and 10 more; --json has them all")


@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_message_says_never_steers_the_terminal(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    hostile = a_plan(1, Fate.IMPOSSIBLE, "is for nobody: the routing key says account \x1b[2J[bold]x")
    report = replayed(hostile, is_bulk=False, as_json=as_json)

    report.show_plan()
    report.finish()

    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "[bold]x" in said.err


def test_a_program_gets_one_value_with_everything(capsys: pytest.CaptureFixture[str]) -> None:
    report = replayed(a_plan(1), a_plan(2, Fate.STALE, "was approved 75 s ago"), as_json=True)
    report.ends = {UUID(int=1): End(UUID(int=1), "resolved", "filled", None)}

    report.finish()

    first, second = json.loads(capsys.readouterr().out)
    assert (first["state"], first["status"], first["refusal"]) == ("resolved", "filled", None)
    assert (second["replay_id"], second["refusal"]) == (None, f"dead letter {UUID(int=2)} was approved 75 s ago")
