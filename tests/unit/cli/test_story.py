"""One trade told from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest

from tests.unit.stories import DEAL, FILLED, MAGIC, event, letter, story
from worker.cli.story import print_story, story_as_json
from worker.domain.execution import Attempt, State
from worker.ledger.history import ExecutionStory, Leader

HOSTILE = "\x1b[2J[red]\u202e" + "w" * 5000
REQUEST = {"action": 1, "symbol": "EURUSD", "comment": "\x1b]0;gone\x07"}


def _page(told: ExecutionStory, capsys: pytest.CaptureFixture[str], *, raw: bool = False) -> str:
    print_story(told, raw=raw)
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 80
    assert "\x1b" not in page
    return page


class TestAsJson:
    def test_it_has_all_parts(self) -> None:
        told = json.loads(json.dumps(story_as_json(story()), default=str))

        assert told["execution_id"] == str(UUID(int=1))
        assert told["status"] == "filled"
        assert told["at_broker"]["answer"] == "yes"
        assert told["units_at_risk"] == "10000"
        assert [one["payload"] for one in told["events"]][1] == {"attempt": 1, "lots": "0.1"}
        assert told["confirmations"][0]["body"] == {"status": "filled"}
        assert told["dead_letters"][0]["reason"] == "network_error"
        assert told["replays"][0]["by"] == "alice@desk"
        assert told["timeline"][0]["what"] == "message received"

    def test_numbers_that_readers_would_round_are_text(self) -> None:
        told = story_as_json(story())

        assert (told["order_id"], told["position_id"]) == ("80", "90")
        assert told["attempts"][0]["magic"] == told["deals"][0]["magic"] == str(MAGIC)
        assert (told["deals"][0]["deal_id"], told["attempts"][0]["order_ticket"]) == ("70", None)


class TestAsAPage:
    def test_its_head_answers_what_a_person_asks_first(self, capsys: pytest.CaptureFixture[str]) -> None:
        page = _page(story(), capsys)

        assert "FILLED" in page
        assert "0.1 of 0.1 lots are executed at 1.08425" in page
        assert "yes: order 80, filled 0.1 lots" in page
        assert "nothing" in page

    def test_more_than_was_asked_for_cannot_be_overlooked(self, capsys: pytest.CaptureFixture[str]) -> None:
        twice = replace(FILLED, deals=(DEAL, replace(DEAL, deal_id=71)))

        words = " ".join(_page(replace(story(), execution=twice), capsys).split())

        assert "0.2 of 0.1 lots are executed at 1.08425: MORE THAN WAS ASKED FOR" in words

    def test_the_timeline_tells_how_long_each_step_took(self, capsys: pytest.CaptureFixture[str]) -> None:
        page = _page(story(), capsys)

        assert "Timeline, 2026-03-02 UTC" in page
        assert "09:30:00.010" in page
        assert "8.5 ms" in page  # from written down to written ahead
        assert "~09:30:00.020" in page  # the broker's clock

    def test_a_new_day_has_a_title_of_its_own(self, capsys: pytest.CaptureFixture[str]) -> None:
        late = event(9, 26 * 3_600_000, "resolved", {"verdict": "executed", "reason": "the statement"}, "ann@desk")
        page = _page(replace(story(), events=[*story().events, late]), capsys)

        assert "Timeline, 2026-03-03 UTC" in page
        assert "1 d 2 h" not in page  # 25 h 59 m and some: from the last line of the day before
        assert "1 d 1 h" in page

    def test_the_broker_s_words_are_shown_when_asked_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        attempt = Attempt(1, MAGIC, DEAL.lots, REQUEST, "accepted", reply={"retcode": 10009})
        told = replace(story(), attempts=[attempt])

        assert "10009" not in _page(told, capsys)
        raw = _page(told, capsys, raw=True)
        assert '"retcode": 10009' in raw
        assert "gone" in raw

    def test_hostile_words_stay_within_their_cells(self, capsys: pytest.CaptureFixture[str]) -> None:
        identity = replace(FILLED.trade.identity, trade_id=HOSTILE)
        decision = replace(FILLED.trade.decision, symbol=HOSTILE[:29])
        trade = replace(FILLED.trade, identity=identity, decision=decision)
        message = replace(FILLED.message, routing_key=HOSTILE, message_id=HOSTILE, reply_to="a\nb")
        told = replace(
            story(),
            execution=replace(
                FILLED, trade=trade, message=message, reason=HOSTILE, detail=HOSTILE, state=State.UNRESOLVED
            ),
            events=[
                event(1, 2, HOSTILE[:20], {HOSTILE: HOSTILE}),
                event(2, 3, "resolved", {"reason": HOSTILE}, HOSTILE),
            ],
            dead_letters=[letter(detail=HOSTILE, reason=HOSTILE)],
        )

        page = _page(told, capsys)

        assert "\\x1b[2J[red]" in page


class TestWhatToDo:
    def test_an_unresolved_trade_names_the_command_that_ends_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        unresolved = replace(FILLED, state=State.UNRESOLVED, deals=(), reason="outcome_unknown", detail="no history")

        told = replace(story(), execution=unresolved)

        words = " ".join(_page(told, capsys).split())
        assert "unknown: the outcome of the send at" in words
        assert "not certain whether the last attempt was executed" in words
        [look, executed, not_executed] = story_as_json(told)["to_do"]
        assert f"magic {MAGIC}" in look
        assert executed == f"mt5-worker executions resolve {UUID(int=1)} --executed --deal TICKET --reason WHY"
        assert not_executed.endswith("--not-executed --reason WHY")

    def test_an_error_with_an_open_letter_can_be_replayed(self) -> None:
        failed = replace(FILLED, state=State.ERROR, deals=(), reason="network_error")

        told = story_as_json(replace(story(), execution=failed, dead_letters=[letter(state="new"), letter()]))

        assert told["to_do"] == [f"mt5-worker dlq replay {UUID(int=2)} --reason WHY"]

    @pytest.mark.parametrize(("age", "left"), [(0.4, 0), (5.1, 1), (None, 1)])
    def test_an_open_trade_without_a_worker_needs_one(self, age: float | None, left: int) -> None:
        waiting = {"waiting_for_terminal": {str(UUID(int=1)): "the terminal is logged out"}}
        told = replace(
            story(),
            execution=replace(FILLED, state=State.RECEIVED, deals=(), attempts=0),
            leader=Leader("desk:17", age, waiting),
        )

        as_json = story_as_json(told)

        assert len(as_json["to_do"]) == left
        assert as_json["waits_for"] == (None if left else "the terminal is logged out")


def test_a_trade_that_a_halt_holds_back_says_what_it_waits_for() -> None:
    held = replace(
        story(),
        execution=replace(FILLED, state=State.RECEIVED, deals=(), attempts=0),
        leader=Leader("desk:17", 0.4, {"held": {"EURUSD": 2}}),
    )

    assert story_as_json(held)["waits_for"] == "the end of a halt, as all trades of EURUSD do"


def test_a_trade_that_has_only_arrived_has_no_empty_sections(capsys: pytest.CaptureFixture[str]) -> None:
    arrived = replace(FILLED, state=State.RECEIVED, deals=(), attempts=0, validated_at=None)
    bare = replace(story(), execution=arrived, attempts=[], events=[], confirmations=[], dead_letters=[], replays=[])

    page = _page(bare, capsys)

    assert "message received" in page
    assert "Deals" not in page
    assert "no: nothing was sent yet" in page


def test_times_are_told_in_one_order() -> None:
    assert [line["what"] for line in story_as_json(story())["timeline"]] == [
        "message received",
        "dead letter taken in",
        "replay ordered",
        "replay came back",
        "dead letter resolved",
        "written down",
        "attempt 1 written ahead",
        "attempt 1 sent",
        "attempt 1 answered",
        "deal 70",
        "confirmation 1 made",
        "confirmation 1 published",
    ]
