"""The package never reconnects by itself; the link does, and never to another account."""

from __future__ import annotations

import itertools

import pytest

from tests.unit.mt5.package import Package, a_link, a_terminal, an_account
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import Custody
from worker.mt5.link import Link
from worker.mt5.wire import Opening

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
