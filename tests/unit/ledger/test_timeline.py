"""A timeline puts what rows and events tell into one order, and says how long everything took."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stories import DEAL, FILLED, MAGIC, START, at, event, letter, story
from worker.domain.execution import Attempt
from worker.ledger.history import ExecutionStory, ReplayLine
from worker.ledger.telling import told
from worker.ledger.timeline import Line, TimeSource, timeline


def _bare(**parts: Any) -> ExecutionStory:
    nothing = replace(story(), attempts=[], events=[], confirmations=[], dead_letters=[], replays=[])
    return replace(nothing, **parts)


def _whats(told_of: ExecutionStory) -> list[str]:
    return [line.what for line in timeline(told_of)]


def test_of_the_same_moment_causes_come_before_effects() -> None:
    # Given a clock that stands still, and rows and events in no order
    sent = Attempt(1, MAGIC, Decimal("0.1"), {}, "accepted", sent_at=START, answered_at=START)
    events = [
        event(1, 0, "received", {}),
        event(2, 0, "submitting", {"attempt": 1}),
        event(3, 0, "answered", {"attempt": 1, "proof": "accepted"}),
        event(4, 0, "settled", {"status": "filled"}),
        event(5, 0, "confirmed", {"version": 1}),
    ]
    told_of = replace(
        story(),
        execution=replace(FILLED, validated_at=START, deals=(replace(DEAL, time=START),)),
        attempts=[sent],
        events=list(reversed(events)),
        confirmations=[replace(story().confirmations[0], published_at=START)],
        dead_letters=[],
        replays=[],
    )

    assert _whats(told_of) == [
        "message received",
        "written down",
        "first validated",
        "attempt 1 written ahead",
        "attempt 1 sent",
        "attempt 1 answered",
        "deal 70",
        "attempt 1 judged",
        "settled",
        "confirmation 1 made",
        "confirmation 1 published",
    ]


def test_every_length_is_the_time_since_the_line_before() -> None:
    lines = timeline(story())

    assert lines[0].seconds_after is None
    whole = sum(line.seconds_after or 0 for line in lines)
    assert whole == pytest.approx((lines[-1].at - lines[0].at).total_seconds())


@given(st.lists(st.integers(0, 10**9), max_size=12))
def test_whatever_the_times_the_order_is_that_of_time_and_nothing_is_left_out(milliseconds: list[int]) -> None:
    events = [event(number, one, f"kind_{number}", {}) for number, one in enumerate(milliseconds, start=1)]

    lines = timeline(_bare(events=events, execution=replace(FILLED, deals=())))

    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert len(lines) == len(events) + 1
    assert all((line.seconds_after or 0) >= 0 for line in lines)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=12))
def test_events_of_the_same_moment_stay_in_the_order_of_their_chain(kinds: list[int]) -> None:
    events = [event(number, 5, f"kind_{kind}", {}) for number, kind in enumerate(kinds, start=1)]

    assert _whats(_bare(events=events, execution=replace(FILLED, deals=())))[1:] == [f"kind {kind}" for kind in kinds]


def test_only_deals_have_the_broker_s_time() -> None:
    clocks = {line.what: line.clock for line in timeline(story())}

    assert clocks.pop("deal 70") is TimeSource.BROKER
    assert set(clocks.values()) == {TimeSource.WORKER}


def test_who_is_the_worker_the_broker_or_an_operator_by_name() -> None:
    resolved = event(9, 30, "resolved", {"verdict": "executed", "deals": "70", "reason": "statement"}, "ann@desk")

    who = {line.what: line.who for line in timeline(replace(story(), events=[*story().events, resolved]))}

    assert (who["attempt 1 sent"], who["attempt 1 answered"], who["deal 70"]) == ("worker", "broker", "broker")
    assert who["resolved by hand"] == "ann@desk"
    assert who["replay ordered"] == "alice@desk"


def test_what_an_operator_attests_is_told_by_its_event_alone() -> None:
    attested = replace(DEAL, time=None, attested_by="ann")

    assert _whats(_bare(execution=replace(FILLED, deals=(attested,)))) == ["message received"]


def test_a_halt_of_another_symbol_is_left_out() -> None:
    halts = [
        event(1, 1, "halted", {"symbol": None, "reason": "news"}, "ann"),
        event(2, 2, "halted", {"symbol": "EURUSD", "reason": "ECB"}, "ann"),
        event(3, 3, "halted", {"symbol": "XAUUSD", "reason": "gold"}, "ann"),
    ]

    lines = timeline(_bare(meanwhile=halts, execution=replace(FILLED, deals=())))

    assert [line.detail for line in lines[1:]] == ["the account: news", "EURUSD: ECB"]


def test_what_events_have_told_is_not_told_again_by_rows() -> None:
    named, replay_id = str(UUID(int=2)), str(UUID(int=3))
    events = [
        event(1, 1, "dead_lettered", {"letter_id": named, "reason": "network_error"}),
        event(2, 2, "replay_ordered", {"letter_id": named, "replay_id": replay_id, "reason": "why not"}, "ann"),
    ]
    replay = ReplayLine(UUID(int=3), UUID(int=2), "ann", "why not", False, at(2), None, None)  # noqa: FBT003 - as stored
    one = letter(state="replaying", state_at=at(2), state_by="ann")

    assert _whats(_bare(events=events, dead_letters=[one], replays=[replay], execution=replace(FILLED, deals=()))) == [
        "message received",
        "dead letter taken in",
        "replay ordered",
    ]


def test_a_letter_is_resolved_by_the_worker_unless_an_operator_has_ended_its_trade() -> None:
    replayed = letter(state_by="ann", state_at=at(50))
    ended = event(9, 40, "resolved", {}, "ann")

    def resolver(told_of: ExecutionStory) -> str:
        return next(line.who for line in timeline(told_of) if line.what == "dead letter resolved")

    assert resolver(_bare(dead_letters=[replayed])) == "worker"
    assert resolver(_bare(dead_letters=[replayed], events=[ended])) == "ann"


def test_a_replay_that_reopened_the_trade_is_told_once() -> None:
    reopened = event(9, 40, "reopened", {"after": "network_error", "replay_id": str(UUID(int=3))})

    whats = _whats(_bare(replays=story().replays, events=[reopened]))

    assert "replay came back" not in whats
    assert "reopened" in whats


def test_a_redelivered_message_shows_its_envelope() -> None:
    message = replace(FILLED.message, message_id="m-1", correlation_id="c-1", reply_to="answers", redelivered=True)

    first = timeline(_bare(execution=replace(FILLED, message=message)))[0]

    assert first == Line(
        START,
        TimeSource.WORKER,
        "worker",
        "message received",
        "key approved.main.EURUSD, message_id m-1, correlation_id c-1, reply_to answers, redelivered yes",
    )


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        (
            "settled",
            {"status": "rejected", "reason": "market_closed", "detail": "Sunday"},
            "rejected, market_closed: Sunday",
        ),
        (
            "settled",
            {"status": "filled", "executed_lots": "0.1", "requested_lots": "0.1", "fill_price": "1.1"},
            "filled: 0.1 of 0.1 lots at 1.1",
        ),
        ("alert", {"alert": "late_deal", "deals": [{"deal_id": "7", "lots": "1"}]}, "late deal: deal 7, 1 lots"),
        ("alert", {"detail": "order 80 vanished"}, "order 80 vanished"),
        ("resolved", {"verdict": "not_executed", "reason": "statement"}, "not executed: statement"),
        ("found", {"attempt": 1, "order_id": "80", "order_state": 4, "deals": []}, "order 80 4, deals: 0"),
        ("cancel_answered", {"retcode": 10009, "detail": "done"}, "code 10009 done"),
        ("cancel_answered", {"detail": "logged out"}, "logged out"),
        ("proved_absent", {}, "? looks without a trace, ? s apart: it was not executed"),
        (
            "received",
            {"trade_id": "RPM-7", "direction": -1, "units": "10000.0", "symbol": "EURUSD"},
            "trade RPM-7: sell 10000 EURUSD",
        ),
        ("repeated", {"units": None}, "trade None: ? None None"),
        ("brand_new", {"why": "x", "long": "y" * 99, "reason": "z" * 99}, f"why=x reason={'z' * 99}"),
    ],
)
def test_an_event_is_told_in_a_few_words(kind: str, payload: dict[str, object], words: str) -> None:
    assert told(kind, payload)[1] == words


def test_a_length_between_days_is_told_whole() -> None:
    late = event(9, timedelta(days=2).total_seconds() * 1000, "resolved", {})

    [last] = timeline(_bare(events=[late], execution=replace(FILLED, deals=())))[1:]

    assert last.seconds_after == timedelta(days=2).total_seconds()
    assert last.at == datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
