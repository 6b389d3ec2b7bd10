"""Metrics: closed sets of labels, figures of this account alone, and never a word that holds anybody up."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

import worker
from schemas.execution_confirmation import REASONS_OF_STATUS
from tests.unit.stories import FILLED
from worker.domain import slippage
from worker.domain.errors import TerminalUnavailable
from worker.domain.execution import SETTLED, Execution, State
from worker.domain.market import NotSentReason, SendReport, SendStatus
from worker.domain.message import IncomingMessage, MessageKind, OutgoingMessage
from worker.metering import Backlog
from worker.monitoring import instruments, labels
from worker.monitoring.exposition import Exposition
from worker.monitoring.gauges import Gauges
from worker.monitoring.health import Pulse, Vitals
from worker.monitoring.instruments import Instruments
from worker.monitoring.terminal import MeteredTerminal
from worker.ports import Change, ConfirmationDraft, RefusedMessage

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SLIPPED = replace(
    FILLED,
    first_touch=Decimal("1.08400"),
    pip_size=Decimal("0.0001"),
    max_slippage_pips=Decimal(2),
    validated_at=FILLED.received_at + timedelta(seconds=1),
    submitted_at=FILLED.received_at + timedelta(seconds=2),
    accepted_at=FILLED.received_at + timedelta(seconds=4),
    filled_at=FILLED.received_at + timedelta(seconds=3),
    settled_at=FILLED.received_at + timedelta(seconds=8),
)
_HOSTILE = st.text() | st.sampled_from(sorted(labels.REFUSALS | labels.STATUSES | labels.ALERTS))


class Clocks:
    """Time that a story sets."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


class Measured:
    """Instruments, and what they tell."""

    def __init__(self, account: str = "main") -> None:
        self.clock, self.exposition = Clocks(), Exposition(account)
        self.instruments = Instruments(self.exposition.registry, self.clock, Decimal(10))

    def value(self, name: str, **wanted: str) -> float:
        """Return one figure."""
        return self.all[f"mt5_worker_{name}", frozenset({"account": "main", **wanted}.items())]

    @property
    def all(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Everything that is told, read as Prometheus reads it."""
        families = text_string_to_metric_families(self.exposition.text().decode())
        return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}

    @property
    def series(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        """What figures there are."""
        return set(self.all)


def _settled(after: Execution) -> Change:
    draft = ConfirmationDraft(
        execution_id=after.execution_id,
        version=after.version,
        status=after.state.value,
        final=True,
        account=after.account,
        symbol=after.trade.decision.symbol,
        routing_key="",
        correlation_id=None,
        render=lambda _anchor: b"",
        slippage=slippage.of(after),
    )
    return Change(after, confirmation=draft)


def _confirmation(message_id: str) -> OutgoingMessage:
    return OutgoingMessage(MessageKind.CONFIRMATION, "executions", "", b"", message_id=message_id)


def _refused(reason: str) -> RefusedMessage:
    return RefusedMessage(UUID(int=3), "main", IncomingMessage(b""), reason, "", None, None)


def test_the_stages_of_a_trade_are_those_between_its_times() -> None:
    # Given a trade of nine seconds, the last of them on its way to RabbitMQ
    measured = Measured()
    measured.instruments.recorded(_settled(SLIPPED))
    measured.clock.time = FILLED.received_at + timedelta(seconds=9)
    confirmation = _confirmation(f"{SLIPPED.execution_id}:1")

    # When its confirmation is published, and once more
    measured.instruments.published([confirmation, _confirmation("somebody else's")])
    measured.instruments.published([confirmation])

    # Then each stage has been timed once
    seconds = {"validation": 1, "send": 3, "fill": 1, "settlement": 5, "publication": 1, "whole": 9}
    for stage, expected in seconds.items():
        assert measured.value("stage_seconds_sum", stage=stage) == expected, stage
        assert measured.value("stage_seconds_count", stage=stage) == 1, stage


def test_slippage_is_told_with_its_sign() -> None:
    measured = Measured()

    measured.instruments.recorded(_settled(SLIPPED))

    assert measured.value("slippage_pips_bucket", le="2.0") == 0
    assert measured.value("slippage_pips_bucket", le="5.0") == 1
    assert measured.value("slippage_exceeded_total") == 1


def test_a_later_version_is_no_trade_more() -> None:
    measured = Measured()

    measured.instruments.recorded(_settled(replace(SLIPPED, version=2)))
    measured.instruments.recorded(Change(replace(SLIPPED, version=3)))  # not told to anybody

    assert measured.value("trades_total", status="filled", reason="") == 0
    assert measured.value("late_evidence_total") == 1


@pytest.mark.parametrize(
    ("state", "reason"),
    [(State(status), reason) for status, reasons in REASONS_OF_STATUS.items() for reason in reasons],
)
def test_every_ending_of_a_trade_has_a_series_from_the_beginning(state: State, reason: str) -> None:
    measured = Measured()
    before = measured.series

    measured.instruments.recorded(_settled(replace(SLIPPED, state=state, reason=str(reason))))

    assert measured.series == before


@settings(max_examples=20)  # each reads every series there is
@given(
    state=st.sampled_from(sorted(SETTLED)),
    reason=_HOSTILE,
    symbol=_HOSTILE,
    counts=st.dictionaries(_HOSTILE, st.integers(0, 10**6)),
)
def test_no_text_ever_becomes_a_label(state: State, reason: str, symbol: str, counts: dict[str, int]) -> None:
    # Given everything that is told before anything has happened
    measured, backlog = Measured(), Backlog({}, 0, 0, {}, 0, 0, 0)
    quiet, hostile = Vitals((), backlog=backlog), replace(backlog, in_flight=counts, dead_letters=counts)
    pulse = Pulse(quiet)
    measured.exposition.register([Gauges(pulse, lambda: counts, {"version": "1", "backend": "simulated"})])
    before = measured.series

    # When texts of any kind come as reasons, symbols, states and alerts
    decision = replace(SLIPPED.trade.decision, symbol=symbol)
    trade = replace(SLIPPED.trade, decision=decision)
    measured.instruments.recorded(_settled(replace(SLIPPED, state=state, reason=reason, trade=trade)))
    measured.instruments.refused(_refused(reason))
    pulse.follow(lambda: Vitals((reason,), backlog=hostile))

    # Then there are no other series, but for the states that are none
    others = {series for series in measured.series - before if dict(series[1]).get("state") != labels.OTHER}
    assert others == set()
    assert measured.value("refused_messages_total", reason=labels.known(reason, labels.REFUSALS)) == 1


def test_confirmations_that_are_never_published_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "MOST_UNPUBLISHED", 2)
    measured, ids = Measured(), [uuid4() for _ in range(4)]

    for execution_id in ids:
        measured.instruments.recorded(_settled(replace(SLIPPED, execution_id=execution_id)))
    measured.instruments.published([_confirmation(f"{execution_id}:1") for execution_id in ids])

    assert measured.value("stage_seconds_count", stage="whole") == 2


def test_a_defect_of_a_figure_reaches_the_log_and_nobody_else() -> None:
    measured = Measured()

    with capture_logs() as lines:
        measured.instruments.recorded(cast("Any", None))

    assert [line["event"] for line in lines] == ["not_measured"]


def test_two_accounts_in_one_process_share_nothing() -> None:
    first, second = Measured(), Measured("other")

    first.instruments.refused(_refused("malformed_json"))

    assert first.value("refused_messages_total", reason="malformed_json") == 1
    assert not any(value for (name, _), value in second.all.items() if name.startswith("mt5_worker_refused"))
    assert {dict(series[1])["account"] for series in second.series} == {"other"}


def test_what_is_not_known_is_not_told() -> None:
    measured = Measured()
    measured.exposition.register([Gauges(Pulse(Vitals(("standby of another",))), dict, {"version": "1"})])

    names = {name for name, _ in measured.series}

    assert {"mt5_worker_ready", "mt5_worker_lease_held", "mt5_worker_loop_lag_seconds"} <= names
    assert not names & {"mt5_worker_unresolved", "mt5_worker_halted", "mt5_worker_outbox_messages"}


def test_what_was_true_when_the_loop_stood_still_is_not_told_any_more() -> None:
    # Given a leader that has all there is to have
    measured, clock = Measured(), [0.0]
    vitals = Vitals((), lease_left=5.0, connected={"postgresql": True}, terminal_up={"main": True}, halted=False)
    pulse = Pulse(replace(vitals, backlog=Backlog({}, 0, 0, {}, 0, 0, 0)), lambda: clock[0])
    measured.exposition.register([Gauges(pulse, dict, {"version": "1"})])
    assert measured.value("lease_held") == measured.value("connected", service="postgresql") == 1

    # When its loop stands still for longer than a lease
    clock[0] = 6.0

    # Then it says what it still knows, and that is not much
    assert measured.value("lease_held") == measured.value("ready") == 0
    assert measured.value("loop_lag_seconds") > 5
    assert not {name for name, _ in measured.series} & {
        f"mt5_worker_{name}" for name in ("connected", "terminal_up", "halted", "unresolved", "outbox_messages")
    }


@pytest.mark.parametrize(("state", "reason"), [(State.ERROR, "network_error"), (State.UNRESOLVED, "outcome_unknown")])
def test_endings_are_counted_under_the_reason_that_their_confirmations_give(state: State, reason: str) -> None:
    measured = Measured()

    measured.instruments.recorded(_settled(replace(SLIPPED, state=state, reason=reason)))

    assert measured.value("trades_total", status=state.value, reason=reason) == 1


def test_every_alert_of_the_worker_is_a_label() -> None:
    sources = [
        path.read_text() for path in Path(worker.__file__).parent.rglob("*.py") if "alert=True" in path.read_text()
    ]
    calls = [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]

    raised = {_event(call) for call in calls if any(keyword.arg == "alert" for keyword in call.keywords)}

    assert raised == labels.ALERTS


def _event(call: ast.Call) -> str:
    return str(ast.literal_eval(call.args[0]))


class Terminals:
    """A terminal that answers a send as the story says."""

    def __init__(self, report: SendReport | None) -> None:
        self.report = report

    async def submit(self, _order: object) -> SendReport:
        if self.report is None:
            raise TerminalUnavailable("gone")
        return self.report


@pytest.mark.parametrize(
    ("report", "failed"),
    [
        (SendReport(SendStatus.ANSWERED, retcode=10009), False),
        (SendReport(SendStatus.NOT_SENT, NotSentReason.PRICE_MOVED), False),
        (SendReport(SendStatus.NOT_SENT, NotSentReason.TERMINAL), True),
        (SendReport(SendStatus.NO_ANSWER), True),
        (None, True),
    ],
)
async def test_a_call_is_timed_and_counted_when_it_brings_nothing(report: SendReport | None, failed: bool) -> None:  # noqa: FBT001 - a column of the table
    measured = Measured()
    terminal = MeteredTerminal(cast("Any", Terminals(report)), measured.instruments)

    if report is None:
        with pytest.raises(TerminalUnavailable):
            await terminal.submit(cast("Any", None))
    else:
        assert await terminal.submit(cast("Any", None)) is report

    assert measured.value("terminal_call_seconds_count", call="submit") == 1
    assert measured.value("terminal_errors_total", call="submit") == failed
