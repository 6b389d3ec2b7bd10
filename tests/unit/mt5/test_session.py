"""When a terminal is restarted with its session, and what is told of a send whose session ended over it."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.fixtures.terminal import a_look, a_search, an_order
from worker.domain.errors import TerminalUnavailable
from worker.domain.execution import Venue
from worker.domain.market import Custody, Health, SendReport, SendStatus
from worker.mt5 import supervisor, symptoms, wire
from worker.mt5.child import Unanswered
from worker.mt5.session import TerminalSession
from worker.mt5.wire import Opening, Standing, TerminalUnreachable, VenueFacts

FACTS = VenueFacts(
    Venue("native", "S", 7, "demo"),
    "hedging",
    "500",
    clock_offset_known=True,
    custody=Custody(datetime(2026, 1, 5, tzinfo=UTC), in_session=False),
)
HEALTHY = Health(True, True, 7, "S", "demo", "hedging", Decimal(1000))  # noqa: FBT003 - connected, allowed to trade
PROGRAM = r"C:\MT5\terminal64.exe"
UNREACHABLE = wire.unavailable(TerminalUnreachable("IPC timeout (-10005)"))
LOGIN_REFUSED = wire.unavailable(TerminalUnavailable("Authorization failed (-6)"))


class Child:
    """A child process that answers by a script, common to all that follow one another."""

    opened: list[dict[str, Any]]
    to_open: list[bytes | Exception]
    to_call: bytes | Exception

    def __init__(self) -> None:
        self.pid = 1
        self.hung_over: str | None = None
        self._ended = threading.Event()

    def call(self, line: bytes, timeout: float) -> bytes:
        self.ask(line, timeout)
        return self.answers(timeout)[0]

    def ask(self, line: bytes, _timeout: float) -> None:
        self.asked = line

    def answers(self, _timeout: float) -> list[bytes]:
        command = wire.name_of(self.asked)
        if command != "open":
            return [self._answered(self.to_call, command)]
        self.opened += json.loads(self.asked)["requests"]
        return [self._answered(self.to_open.pop(0) if self.to_open else wire.OPEN.reply(FACTS), "open")]

    def _answered(self, answer: bytes | Exception, command: str) -> bytes:
        if isinstance(answer, Exception):
            self.hung_over = command if isinstance(answer, Unanswered) else None
            self.kill("too slow")
            raise answer
        return answer

    def wait(self) -> None:
        assert self._ended.wait(10)

    def kill(self, _why: str) -> None:
        self._ended.set()

    def end(self, _patience: float) -> None:
        self._ended.set()

    def epitaph(self) -> str:
        return "ended"

    def release(self) -> None: ...


Started = Callable[..., TerminalSession]


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> type[Child]:
    """Script the children of one test."""
    scripted: type[Child] = type("Scripted", (Child,), {"opened": [], "to_open": [], "to_call": b""})
    monkeypatch.setattr(supervisor, "ChildProcess", scripted)
    monkeypatch.setattr(supervisor, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(symptoms, "_TROUBLED_SECONDS", 0.0)
    return scripted


@pytest.fixture
def start(child: type[Child]) -> Iterator[Started]:  # noqa: ARG001 - it must be in place first
    """Start a session; it is closed at the end."""
    sessions = []

    def started(terminal: str | None = PROGRAM, *, may_restart: bool = True) -> TerminalSession:
        session = TerminalSession(
            Opening("main", "native", terminal=terminal, restarts_terminal=may_restart), threading.Condition()
        )
        sessions.append(session)
        session.start()
        session.ready(5)
        return session

    yield started
    for session in sessions:
        session.close(1)


def restarts(child: type[Child]) -> list[bool]:
    return [opening["restart"] for opening in child.opened]


def test_a_terminal_that_hung_over_a_send_is_restarted_once(child: type[Child], start: Started) -> None:
    session = start()
    child.to_call = Unanswered("too slow", datetime.now(UTC))
    child.to_open = [LOGIN_REFUSED, UNREACHABLE]  # it comes up slowly

    assert session.submit(an_order()).status is SendStatus.NO_ANSWER

    session.ready(5)
    assert restarts(child) == [False, True, False, False]
    assert session.report()["terminal_restarts"] == 1


def test_a_question_that_took_too_long_restarts_nothing_when_the_next_child_is_answered(
    child: type[Child], start: Started
) -> None:
    session = start()
    child.to_call = Unanswered("too slow")
    for _ in range(3):
        with pytest.raises(Unanswered):
            session.search(a_search())
        session.ready(5)
    assert not any(restarts(child))


def test_a_terminal_that_lets_nobody_connect_is_restarted_and_then_given_its_time(
    child: type[Child], start: Started
) -> None:
    child.to_open = [UNREACHABLE] * 7
    session = start()
    assert restarts(child) == [False, False, True] + 5 * [False]
    assert session.report()["terminal_restarts"] == 1


def test_a_terminal_that_refuses_the_login_is_left_alone_so_that_a_person_can_log_in(
    child: type[Child], start: Started
) -> None:
    child.to_open = [LOGIN_REFUSED] * 7
    start()
    assert not any(restarts(child))


def test_a_connection_that_cannot_be_mended_ends_with_the_terminal_s_restart(
    child: type[Child], start: Started
) -> None:
    session = start()
    child.to_call = UNREACHABLE
    for _ in range(2):
        with pytest.raises(TerminalUnreachable):
            session.poll(a_look())
    session.ready(5)
    assert restarts(child) == [False, True]


@pytest.mark.parametrize("trouble", [UNREACHABLE, Unanswered("too slow")])
@pytest.mark.parametrize("kind", [{"terminal": None}, {"may_restart": False}], ids=["not known", "not ours"])
def test_a_terminal_that_cannot_be_told_from_others_or_is_not_ours_to_end_is_never_restarted(
    child: type[Child], start: Started, trouble: bytes | Exception, kind: dict[str, Any]
) -> None:
    session = start(**kind)
    child.to_call = trouble
    for _ in range(5):
        session.ready(5)
        with pytest.raises(TerminalUnavailable):
            session.poll(a_look())
    session.ready(5)
    assert not any(restarts(child))
    assert session.report()["terminal_restarts"] == 0


@pytest.mark.parametrize("ended_at", [datetime(2026, 1, 5, tzinfo=UTC), None])
def test_a_send_whose_session_ended_tells_when_nothing_more_could_be_handed_over(
    child: type[Child], start: Started, ended_at: datetime | None
) -> None:
    session = start()
    child.to_call = Unanswered("too slow", ended_at)
    report = session.submit(an_order())
    assert (report.status, report.answered_at) == (SendStatus.NO_ANSWER, ended_at)


def test_a_send_over_which_the_child_met_a_defect_was_handed_over_before_it_told(
    child: type[Child], start: Started
) -> None:
    session, before = start(), datetime.now(UTC)
    child.to_call = wire.defect("KeyError")
    report = session.submit(an_order())
    assert report.status is SendStatus.NO_ANSWER
    assert report.answered_at is not None
    assert before <= report.answered_at <= datetime.now(UTC)


@pytest.mark.parametrize("ended_at", [datetime.now(UTC), None])
def test_when_nobody_knows_all_that_a_child_has_answered_every_order_without_an_answer_is_in_doubt(
    child: type[Child], start: Started, ended_at: datetime | None
) -> None:
    session = start()
    answered = wire.SUBMIT.reply(SendReport(SendStatus.ANSWERED, retcode=10009))
    child.to_call = Unanswered("too slow", ended_at, [answered])
    (reports,) = session.submit_all([an_order() for _ in range(4)])
    assert [report.status for report in reports] == [SendStatus.ANSWERED] + 3 * [SendStatus.NO_ANSWER]


def test_of_a_child_that_has_certainly_told_all_only_the_next_order_is_in_doubt(
    child: type[Child], start: Started
) -> None:
    session = start()
    answered = wire.SUBMIT.reply(SendReport(SendStatus.ANSWERED, retcode=10009))
    for words, left in (([answered], 3), ([answered] * 4, 0)):
        child.to_call = Unanswered("too slow", datetime.now(UTC), words, has_told_all=True)
        (reports,) = session.submit_all([an_order() for _ in range(4)])
        in_doubt = [SendStatus.NO_ANSWER, SendStatus.NOT_SENT, SendStatus.NOT_SENT][:left]
        assert [report.status for report in reports] == len(words) * [SendStatus.ANSWERED] + in_doubt
        session.ready(5)


def test_who_stops_reading_the_reports_of_a_line_leaves_no_answer_that_the_next_order_could_take_for_its_own(
    child: type[Child], start: Started
) -> None:
    # Given a line of two orders, the reports of which somebody does not read to their end
    session = start()
    child.to_call = wire.SUBMIT.reply(SendReport(SendStatus.ANSWERED, retcode=10009))
    reports = session.submit_all([an_order(), an_order()])
    next(reports)
    used: Any = session._supervisor.child

    reports.close()

    # Then that child is ended, and gets no other order
    assert used._ended.is_set()
    assert session._supervisor.child is not used


def test_the_account_that_was_shown_first_is_asked_for_ever_after(child: type[Child], start: Started) -> None:
    session = start()
    child.to_call = Unanswered("too slow")
    session.submit(an_order())
    session.ready(5)
    assert [opening["account"] for opening in child.opened] == [None, [7, "S"]]
    assert session.custody == {session.sender: FACTS.custody}


def test_what_the_terminal_may_hold_is_not_told_by_a_session_that_is_lost(child: type[Child], start: Started) -> None:
    session = start()
    child.to_call = Unanswered("too slow")
    child.to_open = [LOGIN_REFUSED] * 1000
    with pytest.raises(TerminalUnavailable):
        session.poll(a_look())
    assert session.custody == {}


def test_a_terminal_that_is_clean_since_a_moment_to_come_tells_nothing(child: type[Child], start: Started) -> None:
    session = start()
    ahead = Custody(datetime.now(UTC) + timedelta(hours=1), in_session=False)
    child.to_call = wire.STANDING.reply(Standing(HEALTHY, ahead))
    session.standing()
    assert session.custody == {}


def test_a_process_that_starts_slowly_keeps_nobody_else_waiting(child: type[Child]) -> None:
    # Given a machine on which starting a process takes long
    asked, allowed = threading.Event(), threading.Event()

    class Slow(child):  # type: ignore[valid-type, misc]
        def __init__(self) -> None:
            asked.set()
            assert allowed.wait(5)
            super().__init__()

    changed = threading.Condition()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "ChildProcess", Slow)
        session = TerminalSession(Opening("main", "native"), changed)
        session.start()
        assert asked.wait(5)

        # When someone looks at it meanwhile, then what all sessions share is free
        assert changed.acquire(blocking=False)
        changed.release()
        assert session.report()["state"] == "opening"
        allowed.set()
        session.ready(5)
        session.close(1)


def test_a_report_waits_for_nothing(start: Started) -> None:
    session = start()
    reports: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
    with session._supervisor._changed:  # someone is at it
        asking = threading.Thread(target=lambda: reports.put(session.report()))
        asking.start()
        assert reports.get(timeout=5)["state"] == "ready"
    asking.join(5)


def test_a_process_that_was_started_while_its_session_closed_is_ended(
    child: type[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    born: list[Child] = []
    session = TerminalSession(Opening("main", "native"), threading.Condition())

    class Late(child):  # type: ignore[valid-type, misc]
        def __init__(self) -> None:
            super().__init__()
            born.append(self)
            session.retire()

    monkeypatch.setattr(supervisor, "ChildProcess", Late)
    session.start()
    session._supervisor.join(5)
    assert [one._ended.is_set() for one in born] == [True]
    session.close(1)


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), OSError("no memory")])
def test_a_machine_that_is_out_of_something_does_not_end_the_attempts(
    child: type[Child], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    # Given a session whose process cannot be started at first
    troubles = [error, error]

    def started() -> Child:
        if troubles:
            raise troubles.pop()
        return child()

    monkeypatch.setattr(supervisor, "ChildProcess", started)
    session = TerminalSession(Opening("main", "native"), threading.Condition())
    session.start()

    # Then it is open as soon as it can be
    assert session.ready(5).venue.login == 7
    session.close(1)


def test_a_defect_while_opening_is_told_and_tried_again(child: type[Child], start: Started) -> None:
    child.to_open = [RuntimeError("something is wrong")]
    assert start().report()["state"] == "ready"
    assert len(child.opened) == 2
