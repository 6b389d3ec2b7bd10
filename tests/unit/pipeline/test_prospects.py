"""What a replay's plan foresees is what happens when the message arrives: both are asked, and must agree."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from schemas.refusals import RefusedMessage as Refusal
from tests.fixtures.rpm import JsonObject, approval, changed, rejection
from tests.unit.domain.stories import an_execution
from worker.domain import checks
from worker.domain.checks import Limits, Situation
from worker.domain.execution import Execution, State
from worker.domain.halts import Halt, Halts
from worker.domain.message import IncomingMessage, OutgoingMessage
from worker.domain.token import MAX_ATTEMPTS
from worker.domain.trade import IdentityKind, Trade, TradeIdentity
from worker.ledger.admit import Admit
from worker.ledger.page import Page
from worker.ledger.replays import replay_message
from worker.ledger.view import AccountRow, ReplayRecord, View
from worker.pipeline.intake import AccountMismatch, read_trade
from worker.pipeline.prospects import LOST_AFTER, Case, Errand, Fate, Prospect, Terms, foresee, read
from worker.ports import Admittance, Anchor, Arrival

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
REPLAY_ID = UUID(int=7)


@dataclass(frozen=True, slots=True)
class StoppedClock:
    """Says the same for ever."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class Story:
    """A dead letter of the account `main`, what the ledger knows of its trade, and how it is replayed."""

    message: IncomingMessage
    known: Execution | None
    halt: Halt | None
    terms: Terms
    known_since: datetime | None

    @property
    def case(self) -> Case:
        """The letter as the plan sees it."""
        reading = read(self.message, "main", NOW)
        found = _view(self).find("main", reading) if isinstance(reading, Trade) else None
        return replace(
            A_CASE,
            message=self.message,
            reading=reading,
            known=found,
            halt=self.halt,
            known_since=self.known_since,
        )


ages = st.sampled_from([-6, 0, 0, 1, 30, 59, 60, 61, 3600]).map(lambda seconds: timedelta(seconds=seconds))
wrongs: st.SearchStrategy[tuple[str, Any]] = st.sampled_from(
    [
        ("decision.approved_trade.direction", 7),
        ("decision.approved_trade.position_units", "much"),
        ("decision.approved_trade.stop_loss", 1.05),
        ("decision.approved_trade", None),
        ("portfolio_state.trading_halted", True),
        ("decision.kill_switch_triggered", True),
        ("config_hash", "another"),
    ]
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    order_id = draw(st.sampled_from(["RPM-1", None]))
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([b"{", b"", b"[1e999]", b'{"decision": {}}', b"\xff"]))
    if draw(st.integers(0, 9)) == 0:
        return json.dumps(rejection(order_id=order_id)).encode()
    at = (NOW - draw(ages)).replace(tzinfo=None).isoformat()
    body: JsonObject = changed(approval(order_id=order_id), "decision.approved_trade.timestamp", at)
    if draw(st.integers(0, 3)) == 0:
        body = changed(body, *draw(wrongs))
    return json.dumps(body).encode()


messages = st.builds(
    IncomingMessage,
    bodies(),
    exchange=st.sampled_from(["trades", "", "rpm"]),
    routing_key=st.sampled_from(
        ["approved.main.EURUSD", "approved.main.EURUSD.x", "trades.approved.main", "EURUSD", "approved.other.EURUSD"]
    ),
    message_id=st.sampled_from([None, "m-1"]),
    content_encoding=st.sampled_from([None, None, "", "utf-8", "gzip"]),
    headers=st.sampled_from([{}, {"replay-id": str(uuid4())}, {"x-death": [], "failure-reason": "expired"}]),
)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    message = draw(messages)
    reading = read(message, "main", NOW)
    known = (
        draw(st.one_of(st.none(), executions_of(reading), executions_of(reading)))
        if isinstance(reading, Trade)
        else None
    )
    halts = st.sampled_from([None, Halt("odd", "ann", NOW), Halt("odd", "ann", NOW, hold=True)])
    terms = st.builds(Terms, st.sampled_from([timedelta(0), timedelta(seconds=60)]), st.booleans())
    known_since = draw(st.sampled_from([None, None, NOW - timedelta(seconds=30)]))
    return Story(message, known, draw(halts), draw(terms), known_since)


def executions_of(trade: Trade) -> st.SearchStrategy[Execution]:
    """Return executions that a trade is recognised as: by its identity or its body, of its decision or another."""
    names = [trade.identity, TradeIdentity(IdentityKind.MESSAGE_ID, "another")]
    decisions = [trade.decision, replace(trade.decision, units=Decimal(1)), replace(trade.decision, account="other")]
    trades = st.builds(
        partial(replace, trade), identity=st.sampled_from(names), decision=st.sampled_from(decisions)
    ).map(lambda one: replace(one, rpm_rejection=None, rpm_halt=None))
    return st.builds(partial(an_execution, version=1), trade=trades, state=st.sampled_from(State))


@given(stories())
def test_what_the_plan_foresees_happens(story: Story) -> None:
    foreseen = foresee(story.case, story.terms, NOW).fate

    happens = _happens(story)

    event(foreseen)
    assert foreseen == happens


def _happens(story: Story) -> Fate:
    """Publish the message, take it in as the worker does, and go on to the checks that need no market."""
    try:
        read_trade(story.message, "main", NOW)
    except AccountMismatch:
        return Fate.IMPOSSIBLE  # to which account its message would go, nobody can say
    except Refusal:
        pass
    delivered = _delivered(replay_message(story.message, "main", REPLAY_ID))
    try:
        trade = read_trade(delivered, "main", NOW)
    except Refusal:
        return Fate.WILL_BE_REFUSED
    arrival = Arrival(uuid4(), "main", delivered, trade, NOW)
    admission = Admit(arrival).decide(_view(story), Page("main", Anchor(0, "0" * 64), StoppedClock()))
    if admission.admittance is Admittance.CONFLICT:
        return Fate.IN_CONFLICT if admission.execution.state is not State.UNRESOLVED else Fate.UNRESOLVED
    if admission.admittance is Admittance.REPEAT:
        return Fate.WILL_CONFIRM if admission.execution.state is not State.UNRESOLVED else Fate.UNRESOLVED
    return _checked(story, admission.execution)


def _checked(story: Story, execution: Execution) -> Fate:
    limits = Limits(Decimal(10), max_trade_age=story.terms.max_trade_age)
    situation = Situation(execution, limits, NOW, story.halt, known_since=story.known_since)
    refusal = checks.first_refusal(checks.BEFORE_THE_MARKET, situation)
    if refusal is None:
        return Fate.WILL_TRADE
    if refusal.reason == "approval_expired":
        return Fate.STALE
    return Fate.WILL_CONFIRM if execution.trade.rpm_rejection or execution.trade.rpm_halt else Fate.HALTED


def _view(story: Story) -> View:
    view = View(AccountRow("main", 1, "host:1", Halts(story.halt), Anchor(0, "0" * 64)))
    view.prefixes, view.counters = [1], [1]
    view.replays[REPLAY_ID] = ReplayRecord(
        REPLAY_ID,
        UUID(int=1),
        "main",
        story.terms.allow_stale,
        hashlib.sha256(story.message.body).digest(),
        is_standing=True,
    )
    if story.known is not None:
        view.note(story.known)
    return view


def _delivered(sent: OutgoingMessage) -> IncomingMessage:
    return IncomingMessage(
        body=sent.body,
        exchange=sent.exchange,
        routing_key=sent.routing_key,
        message_id=sent.message_id,
        content_encoding=sent.content_encoding,
        headers=sent.headers,
    )


A_CASE = Case(
    "new",
    None,
    "schema_invalid",
    "main",
    has_worker=True,
    message=IncomingMessage(b"{"),
    reading=read(IncomingMessage(b"{"), "main", NOW),
)
FOR_EVER = Terms(timedelta(0))


@pytest.mark.parametrize(
    ("errand", "fate"),
    [
        (None, Fate.WILL_BE_REFUSED),
        (Errand(NOW - LOST_AFTER, is_waiting=False, is_used=False), Fate.NOT_OPEN),
        (Errand(NOW - 2 * LOST_AFTER, is_waiting=False, is_used=False), Fate.WILL_BE_REFUSED),
        (Errand(NOW - 2 * LOST_AFTER, is_waiting=True, is_used=False), Fate.NOT_OPEN),
        (Errand(NOW - 2 * LOST_AFTER, is_waiting=False, is_used=True), Fate.NOT_OPEN),
    ],
)
def test_a_letter_that_is_being_replayed_is_open_again_when_its_message_is_lost(
    errand: Errand | None, fate: Fate
) -> None:
    assert foresee(replace(A_CASE, state="replaying", errand=errand), FOR_EVER, NOW).fate is fate


@pytest.mark.parametrize("state", ["resolved", "discarded"])
def test_a_letter_that_is_done_with_says_by_whom(state: str) -> None:
    assert foresee(replace(A_CASE, state=state, state_by="ann"), FOR_EVER, NOW) == Prospect(
        Fate.NOT_OPEN, f"is {state} by ann: only a new one, or one that failed again, is replayed"
    )


def test_a_trade_whose_attempts_are_used_up_is_not_reopened() -> None:
    known = an_execution(state=State.ERROR, attempts=MAX_ATTEMPTS)

    prospect = foresee(replace(A_CASE, reading=known.trade, known=known), FOR_EVER, NOW)

    assert prospect.fate is Fate.IMPOSSIBLE
    assert "all 63 attempts" in prospect.detail


@pytest.mark.parametrize(
    ("reason", "origin", "fate"),
    [
        ("outcome_unknown", "taken in", Fate.IMPOSSIBLE),  # the letter outlived what the ledger knew, in RabbitMQ
        ("network_error", "taken in", Fate.IMPOSSIBLE),
        ("identity_conflict", "taken in", Fate.IMPOSSIBLE),
        ("delivery_limit", "taken in", Fate.WILL_TRADE),
        ("delivery_limit", "imported", Fate.IMPOSSIBLE),
        ("expired", "imported", Fate.IMPOSSIBLE),
        ("internal_error", "imported", Fate.IMPOSSIBLE),
        ("unknown_account", "imported", Fate.WILL_TRADE),
        ("schema_invalid", "imported", Fate.WILL_TRADE),
    ],
)
def test_what_another_ledger_may_know_as_a_trade_is_not_taken_as_new(reason: str, origin: str, fate: Fate) -> None:
    case = replace(A_CASE, reason=reason, is_imported=origin == "imported", reading=an_execution().trade)

    prospect = foresee(case, replace(FOR_EVER, allow_stale=True), NOW)

    assert prospect.fate is fate
    assert ("this ledger does not know its execution" in prospect.detail) is (fate is Fate.IMPOSSIBLE)
    assert foresee(replace(case, known=an_execution(state=State.ERROR)), FOR_EVER, NOW).fate is Fate.WILL_TRADE


def test_what_a_restored_ledger_may_have_forgotten_is_stale() -> None:
    case = replace(A_CASE, reading=an_execution().trade, known_since=NOW + timedelta(days=400))

    prospect = foresee(case, FOR_EVER, NOW)

    assert prospect.fate is Fate.STALE
    assert "which may have lost that it was executed (compare with the broker)" in prospect.detail
    assert foresee(case, replace(FOR_EVER, allow_stale=True), NOW).fate is Fate.WILL_TRADE


def test_a_message_that_could_not_be_published_again_is_not_left_in_the_outbox() -> None:
    huge = replace(A_CASE.message, headers={f"h{number}": "x" * 3000 for number in range(40)})

    prospect = foresee(replace(A_CASE, message=huge), FOR_EVER, NOW)

    assert (prospect.fate, "more headers than can be published" in prospect.detail) == (Fate.IMPOSSIBLE, True)


def test_what_breaks_the_reader_is_foreseen_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> Trade:
        raise RuntimeError("a defect")

    monkeypatch.setattr("worker.pipeline.prospects.read_trade", break_down)

    prospect = foresee(replace(A_CASE, reading=read(A_CASE.message, "main", NOW)), FOR_EVER, NOW)

    assert prospect == Prospect(
        Fate.WILL_BE_REFUSED, "is refused again: internal_error: the worker fails on it: a defect"
    )
