"""The package never reconnects by itself; the link does, and never to another account."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.mt5.package import Package, a_link, a_terminal, an_account
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import Custody
from worker.mt5.link import Link
from worker.mt5.wire import Opening, TerminalUnreachable

MOMENT = datetime(2026, 1, 5, tzinfo=UTC)
PROGRAM = r"C:\MT5\terminal64.exe"


class Watch:
    """A monotonic clock that a story winds on."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_only_what_was_given_is_handed_to_the_package() -> None:
    seen: list[tuple[tuple[object, ...], dict[str, object]]] = []

    def initialize(*args: object, **named: object) -> bool:
        seen.append((args, named))
        return True

    package = Package(initialize=initialize)
    Link(package, Opening("main", "native")).open()
    mine = Opening("main", "native", terminal=PROGRAM, login=7, password="secret", server="S", portable=True)  # noqa: S106 - made up
    Link(package, mine).open()
    assert seen == [
        ((), {"timeout": 60_000}),
        (
            (PROGRAM,),
            {"login": 7, "password": "secret", "server": "S", "portable": True, "timeout": 60_000},
        ),
    ]


def test_a_terminal_that_cannot_be_opened_says_why() -> None:
    package = Package()
    package.fails("initialize", -6, "Authorization failed")
    with pytest.raises(TerminalUnavailable, match=r"Authorization failed \(-6\)"):
        Link(package, Opening("main", "native")).open()


def test_a_terminal_of_another_account_is_not_used() -> None:
    with pytest.raises(TerminalUnavailable, match="logged in to 7 at S, expected 8 at S"):
        Link(Package(), Opening("main", "native", login=8)).open()


def test_a_terminal_that_changes_its_account_later_is_noticed() -> None:
    package = Package()
    link = a_link(package)
    package.answers["account_info"] = an_account(login=8)
    health = link.health()
    assert "expected 7 at S" in str(health.problem)
    assert not link.is_expected(health)


@pytest.mark.parametrize(
    ("backend", "trade_mode", "expected"),
    [("simulated", 0, "simulated"), ("native", 0, "demo"), ("native", 1, "demo"), ("native", 2, "live")],
)
def test_facts_say_where_orders_go(backend: str, trade_mode: int, expected: str) -> None:
    link = a_link(Package(account_info=an_account(trade_mode=trade_mode, margin_mode=0)), backend=backend)
    facts = link.facts(clock_offset_known=True)
    assert (facts.venue.backend, facts.venue.mode, facts.account_mode) == (backend, expected, "netting")
    assert facts.version == "500 1 today"


@pytest.mark.parametrize("code", range(-10005, -9999))
def test_a_broken_pipe_is_mended_before_the_next_command(code: int) -> None:
    package = Package()
    link = a_link(package)
    package.fails("terminal_info", code)
    with pytest.raises(TerminalUnavailable, match="broke in terminal_info"):
        link.health()
    package.answers["terminal_info"] = a_terminal()
    assert link.ensure()
    assert package.calls[-2:] == ["shutdown", "initialize"]
    assert not link.ensure()
    assert link.health().problem is None


def test_a_pipe_that_broke_in_a_send_is_mended_too() -> None:
    package = Package()
    link = a_link(package)
    package.fails("order_send", -10002, "lost")
    assert link.send({}) == (None, -10002, "lost")
    assert link.ensure()


def test_reconnecting_pauses_longer_and_longer() -> None:
    watch, package = Watch(), Package()
    link = Link(package, Opening("main", "native"), watch)
    link.open()
    package.fails("account_info", -10004, "No IPC connection")
    package.fails("initialize", -10003, "no terminal")
    with pytest.raises(TerminalUnavailable):
        link.health()
    tried_at = []
    for _ in range(800):
        tries = package.count("initialize")
        with pytest.raises(TerminalUnavailable):
            link.ensure()
        if package.count("initialize") > tries:
            tried_at.append(watch.seconds)
        watch.seconds += 0.125
    pauses = [after - before for before, after in itertools.pairwise(tried_at)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_an_ordinary_failure_is_no_broken_pipe() -> None:
    package = Package()
    link = a_link(package)
    package.fails("symbol_info", -4, "Not found")
    assert link.call("symbol_info", "X") is None
    assert not link.ensure()


def test_an_empty_answer_that_hides_an_error_is_unreadable() -> None:
    package = Package()
    link = a_link(package)
    assert link.rows("orders_get") == ()

    def hides_an_error() -> tuple[()]:
        package.error = (-1, "Call failed")
        return ()

    package.answers["orders_get"] = hides_an_error
    assert link.rows("orders_get") is None


def test_a_terminal_inside_the_process_is_clean_since_the_last_connection() -> None:
    # Given a terminal that lives in this very process
    package, watch = Package(), Watch()
    link = Link(package, Opening("main", "simulated"), watch, terminal_lives_here=True)
    link.open()
    first = link.custody.clean_since

    # When its pipe breaks, and the link connects again
    package.fails("orders_get", -10002)
    with pytest.raises(TerminalUnavailable):
        link.rows("orders_get")
    assert link.custody.clean_since == first
    link.ensure()

    # Then nothing that was handed over before is still in it
    assert first is not None
    assert link.custody.clean_since is not None
    assert link.custody.clean_since > first
    assert link.custody.in_session


def test_a_terminal_of_its_own_process_is_not_clean_by_a_new_connection() -> None:
    assert a_link(Package()).custody == Custody(None, in_session=False)


class Started:
    """A terminal's process that was started at this moment, or cannot be told."""

    def __init__(self, moment: datetime | None) -> None:
        self.moment = moment

    def started(self) -> datetime | None:
        return self.moment


def test_a_terminal_of_its_own_process_is_clean_since_its_start_as_of_the_last_connection() -> None:
    # Given a terminal whose process is known
    package, process = Package(), Started(MOMENT)
    link = Link(package, Opening("main", "native", terminal=PROGRAM), process=process)
    link.open()
    assert link.custody == Custody(MOMENT, in_session=False)

    # When it is restarted, that breaks the connection; before the link has noticed, nothing new is claimed
    process.moment = MOMENT + timedelta(minutes=1)
    assert link.custody.clean_since == MOMENT
    package.fails("orders_get", -10004)
    with pytest.raises(TerminalUnavailable):
        link.rows("orders_get")
    link.ensure()
    assert link.custody.clean_since == process.moment

    # And what cannot be told any more is not claimed any more
    process.moment = None
    package.fails("orders_get", -10004)
    with pytest.raises(TerminalUnavailable):
        link.rows("orders_get")
    assert link.ensure()
    assert link.custody.clean_since is None


def test_a_start_that_the_clock_has_not_reached_was_written_by_another_clock_and_stays_unknown() -> None:
    # Given a terminal that was started while the clock was an hour ahead
    clock = [MOMENT]
    link = Link(Package(), Opening("main", "native", terminal=PROGRAM), process=Started(MOMENT), now=lambda: clock[0])
    link.open()
    assert link.custody.clean_since == MOMENT

    # When the clock is put back
    clock[0] -= timedelta(hours=1)
    assert link.custody.clean_since is None

    # Then the start tells nothing, then and ever after
    clock[0] += timedelta(hours=2)
    assert link.custody.clean_since is None


@pytest.mark.parametrize("code", [-10005, -10004, -10003, -10002, -10001, -10000])
def test_a_terminal_that_cannot_be_connected_to_is_told_apart(code: int) -> None:
    package = Package()
    package.fails("initialize", code, "IPC timeout")
    with pytest.raises(TerminalUnreachable):
        Link(package, Opening("main", "native")).open()


@pytest.mark.parametrize("code", [-6, -2, -5, -1])
def test_a_terminal_that_refuses_the_login_answers_and_does_not_hang(code: int) -> None:
    package = Package()
    package.fails("initialize", code)
    with pytest.raises(TerminalUnavailable) as told:
        Link(package, Opening("main", "native")).open()
    assert type(told.value) is TerminalUnavailable


def test_reconnecting_leaves_half_of_a_call_s_limit_to_the_call() -> None:
    times: list[int] = []

    def initialize(**named: int) -> bool:
        times.append(named["timeout"])
        return True

    package = Package(initialize=initialize)
    link = Link(package, Opening("main", "native", call_timeout=10))
    link.open()
    package.fails("orders_get", -10002)
    with pytest.raises(TerminalUnavailable):
        link.rows("orders_get")
    link.ensure()
    assert times == [60_000, 5_000]


@pytest.mark.parametrize(
    "shown",
    [
        r"C:\Program Files\Broker MT5",
        r"c:\program files\broker mt5",
        r"C:\Program Files\Broker MT5\\",
        "C:/Program Files/Broker MT5/",
        r"C:\Program Files\.\Broker MT5",
    ],
)
def test_a_folder_is_the_same_in_every_spelling_of_windows(shown: str) -> None:
    package = Package(terminal_info=a_terminal(path=shown))
    link = Link(package, Opening("main", "native", terminal=r"C:\Program Files\Broker MT5\terminal64.exe"))
    link.open()
    assert link.health().problem is None


def test_another_terminal_than_the_configured_one_is_not_used() -> None:
    package = Package(terminal_info=a_terminal(path=r"C:\Program Files\Another MT5"))
    link = Link(package, Opening("main", "native", terminal=PROGRAM))
    with pytest.raises(TerminalUnavailable, match=r"the one in C:.Program Files.Another MT5, expected C:.MT5.terminal"):
        link.open()
    # Nor is it when the pipe breaks, and the package connects to another one
    with pytest.raises(TerminalUnavailable, match="Another MT5"):
        link.ensure()
    assert "Another MT5" in str(link.health().problem)


def test_a_terminal_that_does_not_tell_where_it_is_is_not_taken_for_the_configured_one() -> None:
    package = Package()
    package.fails("terminal_info", -1, "Call failed")
    with pytest.raises(TerminalUnavailable, match="does not tell which one it is"):
        Link(package, Opening("main", "native", terminal=PROGRAM)).open()


def test_without_a_path_any_terminal_will_do() -> None:
    assert a_link(Package(terminal_info=a_terminal(path=r"D:\Whatever"))).health().problem is None


def test_an_account_that_was_shown_once_is_the_only_one_ever_after() -> None:
    opening = Opening("main", "native", account=(7, "S"))
    Link(Package(), opening).open()
    with pytest.raises(TerminalUnavailable, match="logged in to 8 at S, expected 7 at S"):
        Link(Package(account_info=an_account(login=8)), opening).open()


def test_a_terminal_that_is_logged_out_is_not_opened() -> None:
    package = Package()
    package.fails("account_info", -1, "No account")
    with pytest.raises(TerminalUnavailable, match="the terminal is logged out"):
        Link(package, Opening("main", "native")).open()


def test_how_it_stands_is_whether_it_can_send_and_what_the_terminal_may_hold() -> None:
    link = a_link(Package(terminal_info=a_terminal(trade_allowed=False)))
    standing = link.standing()
    assert "Algo Trading" in str(standing.health.problem)
    assert standing.custody == link.custody
