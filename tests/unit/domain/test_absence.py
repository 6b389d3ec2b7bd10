"""A send is proved absent by looks that could have seen it and did not; anything less proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.stories import NOW, an_execution
from worker.domain.absence import (
    HANDED_OVER_WITHIN,
    UNREADABLE_SECONDS,
    Absence,
    hindrance,
    is_decisive,
    is_held,
    is_own,
)
from worker.domain.execution import Attempt, Deal, Execution, State
from worker.domain.market import BrokerDeal, BrokerOrder, BrokerPosition, Custody, OrderState, Search
from worker.domain.token import attempt_token, base_token, comment_of

TOKEN = base_token(77, 5)
FIRST = attempt_token(TOKEN, 1)
ZERO = Decimal(0)
HERE = "host:terminal64.exe"  # the terminal that was given the request
moments = st.floats(0, 1000, allow_nan=False)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def unknown() -> Execution:
    return an_execution(token=TOKEN, state=State.UNKNOWN, attempts=1, sends=1)


def lost() -> Attempt:
    return Attempt(
        1,
        FIRST,
        Decimal(1),
        outcome="ambiguous",
        last_error=-10002,
        written_at=NOW,
        answered_at=NOW + seconds(1),
        sender=HERE,
    )


def interrupted() -> Attempt:
    """Return an attempt of which nobody lived to tell more than that it was written ahead."""
    return replace(lost(), answered_at=None, outcome="pending", last_error=None)


def clean(since: float | None = 2, *, in_session: bool = False, terminal: str = HERE) -> Search:
    """Return a look that found nothing; its terminal was started so many seconds after the write-ahead."""
    custody = Custody(None if since is None else NOW + seconds(since), in_session=in_session)
    return Search(readable=True, newest_deal=70, custody={terminal: custody})


def a_deal(magic: int = 0, comment: str = "", symbol: str = "EURUSD", after: float = 1) -> BrokerDeal:
    return BrokerDeal(80, 70, magic, 7, symbol, Decimal(1), Decimal("1.1"), ZERO, ZERO, NOW + seconds(after), comment)


def an_order(magic: int, comment: str = "") -> BrokerOrder:
    return BrokerOrder(70, magic, "EURUSD", OrderState.FILLED, Decimal(1), ZERO, 7, comment, historical=True)


def test_a_clean_look_that_finds_nothing_has_no_hindrance() -> None:
    assert hindrance(clean(), unknown(), lost()) is None


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (lambda: Search(readable=False, detail="logged out"), "logged out"),
        (lambda: replace(clean(), unreadable_symbols=frozenset({"EURUSD"})), "could not read its records of EURUSD"),
        (lambda: replace(clean(), orders=(an_order(FIRST),)), "order 70 carries its token"),
        (lambda: replace(clean(), orders=(an_order(0, comment_of(FIRST)),)), "order 70 carries its token"),
        (lambda: replace(clean(), deals=(a_deal(attempt_token(TOKEN, 2)),)), "deal 80 carries its token"),
        (
            lambda: replace(clean(), positions=(BrokerPosition(9, 70, FIRST, "EURUSD", Decimal(1), ""),)),
            "position 9 carries its token",
        ),
        (lambda: replace(clean(), strangers=(a_deal(),)), "deal 80 of EURUSD carries nobody's mark"),
        (lambda: replace(clean(), strangers=(a_deal(after=-599),)), "carries nobody's mark"),
        (lambda: clean(since=None), "neither answered it nor been restarted"),
        (lambda: clean(since=0.5), "neither answered it nor been restarted"),
        (lambda: clean(terminal="another"), "neither answered it nor been restarted"),
    ],
)
def test_what_keeps_a_look_from_proving_anything(look: Callable[[], Search], why: str) -> None:
    found = hindrance(look(), unknown(), lost())
    assert found is not None
    assert why in found


@pytest.mark.parametrize(
    "look",
    [
        replace(clean(), unreadable_symbols=frozenset({"GBPUSD"})),
        replace(clean(), orders=(an_order(attempt_token(base_token(77, 6), 1)),)),
        replace(clean(), strangers=(a_deal(symbol="GBPUSD"),)),
        replace(clean(), strangers=(a_deal(after=-601),)),
    ],
)
def test_what_does_not_concern_the_attempt_is_no_hindrance(look: Search) -> None:
    assert hindrance(look, unknown(), lost()) is None


def test_a_terminal_that_answered_holds_no_request_any_more() -> None:
    answered = replace(lost(), last_error=None, retcode=10012)
    assert hindrance(clean(since=None), unknown(), answered) is None


def test_what_the_broker_had_accepted_is_never_absent() -> None:
    found = hindrance(clean(), unknown(), replace(lost(), outcome="accepted", retcode=10008))
    assert found == "the broker had accepted it"


def test_what_is_partly_executed_is_never_absent() -> None:
    deal = Deal(80, 70, FIRST, 7, Decimal(1), Decimal(100_000), Decimal("1.1"), ZERO, ZERO, NOW)
    found = hindrance(clean(), replace(unknown(), deals=(deal,)), lost())
    assert found is not None
    assert "known to be executed" in found


def test_an_interrupted_send_may_have_been_handed_over_until_long_after_its_write_ahead() -> None:
    # Given a terminal that is a process of its own: a restart right after the write-ahead proves nothing, for the
    # request may have been handed over to the very terminal that was started by it
    latest = HANDED_OVER_WITHIN.total_seconds()
    assert is_held(clean(since=1), interrupted())
    assert is_held(clean(since=latest - 0.1), interrupted())
    assert not is_held(clean(since=latest), interrupted())


def test_a_terminal_in_the_session_forgets_with_its_connection() -> None:
    assert is_held(clean(since=-1, in_session=True), interrupted())
    assert not is_held(clean(since=1, in_session=True), interrupted())


def test_only_the_terminal_that_was_to_send_it_can_tell() -> None:
    everywhere = {name: Custody(NOW + seconds(3600), in_session=False) for name in ("one", "two", "")}
    assert is_held(replace(clean(), custody=everywhere), lost())
    assert is_held(replace(clean(), custody=everywhere), replace(lost(), sender=None))
    assert not is_held(replace(clean(), custody=everywhere), replace(lost(), sender="two"))


def note(absence: Absence, began: float, hindrance: str | None = None, **more: bool) -> None:
    absence.note(began, began, hindrance, **({"held": False} | more))


@given(first=moments, second=moments, third=moments, lag=st.floats(0, 50))
def test_two_looks_prove_it_only_beyond_horizon_and_lag(first: float, second: float, third: float, lag: float) -> None:
    absence = Absence(sent_by=10, horizon=15)
    looks = sorted((first, second, third))
    for began in looks:
        note(absence, began)
    empty = [began for began in looks if began > max(10, looks[0]) + 15]
    assert absence.is_proved(lag) == (bool(empty) and empty[-1] - empty[0] > lag)


def test_the_horizon_counts_from_when_the_terminal_was_known_to_hold_it_no_more() -> None:
    # Given a terminal that hung for 30 s and was then restarted: it may have let the request go just before its end
    absence = Absence(sent_by=0, horizon=15)
    for began in (5, 20, 29):
        note(absence, began, "neither answered nor restarted", held=True)

    # When it is first seen to be clean
    note(absence, 30)

    # Then looks count from a horizon later on
    for began in (35, 44):
        note(absence, began)
    assert not absence.is_proved(lag=1)
    for began in (46, 48):
        note(absence, began)
    assert absence.is_proved(lag=1)


def test_what_was_let_go_once_stays_let_go() -> None:
    absence = Absence(sent_by=0, horizon=15)
    note(absence, 1)
    note(absence, 20, "the terminal could not be asked", held=True)
    for began in (21, 23):
        note(absence, began)
    assert absence.is_proved(lag=1)


@given(began=moments, lag=st.floats(0, 50))
def test_one_look_proves_nothing(began: float, lag: float) -> None:
    absence = Absence(sent_by=0, horizon=15)
    note(absence, began)
    assert not absence.is_proved(lag)


@given(looks=st.lists(st.tuples(moments, st.booleans()), max_size=8), lag=st.floats(0, 5))
def test_a_look_that_proves_nothing_starts_the_proof_anew(looks: list[tuple[float, bool]], lag: float) -> None:
    absence = Absence(sent_by=0, horizon=15)
    note(absence, 0)
    for began, hindered in sorted(looks):
        note(absence, began, "unreadable" if hindered else None)
    note(absence, 1001, "unreadable")
    note(absence, 1002)
    assert not absence.is_proved(lag)
    assert absence.empty_looks == 1


def test_a_person_is_told_after_twice_the_horizon_unless_proof_is_on_its_way() -> None:
    absence = Absence(sent_by=10, horizon=15)
    for began in (10, 26, 27):
        note(absence, began, "the symbol is unreadable")
    assert not absence.is_hopeless(40)
    assert absence.is_hopeless(41)
    note(absence, 39)
    assert not absence.is_hopeless(41)
    note(absence, 40, "the symbol is unreadable")
    assert absence.is_hopeless(41)


def test_a_terminal_that_cannot_be_read_at_all_is_given_more_than_a_minute() -> None:
    absence = Absence(sent_by=10, horizon=1)
    for began in range(10, 10 + int(UNREADABLE_SECONDS)):
        note(absence, began, "it is being opened", readable=False)
        assert not absence.is_hopeless(began)
    assert absence.is_hopeless(11 + UNREADABLE_SECONDS)


def test_looks_before_the_horizon_do_not_make_it_hopeless() -> None:
    absence = Absence(sent_by=10, horizon=15)
    for began in range(10, 25):
        note(absence, began, "the symbol is unreadable")
    assert not absence.is_hopeless(41)


def test_one_empty_look_must_be_made_by_the_terminal_that_was_to_send_it() -> None:
    # Given looks of another terminal of the account, which may not have been told of it
    absence = Absence(sent_by=0, horizon=15)
    note(absence, 1, own=False)
    assert not absence.wants_own_look(15)
    assert absence.wants_own_look(16.5)
    for began in (17, 19, 21):
        note(absence, began, own=False)
    assert not absence.is_proved(lag=1)

    # When its own terminal has looked as well, once
    note(absence, 23)
    assert not absence.wants_own_look(24)
    note(absence, 25, own=False)

    # Then that proves it; and something that hinders begins all of it anew
    assert absence.is_proved(lag=1)
    note(absence, 26, "the symbol is unreadable", own=False)
    assert absence.wants_own_look(27)
    for began in (27, 29):
        note(absence, began, own=False)
    assert not absence.is_proved(lag=1)


def test_a_person_is_told_when_its_own_terminal_never_comes_to_look() -> None:
    absence = Absence(sent_by=0, horizon=15)
    for began in range(92):
        assert not absence.is_hopeless(began - 1)
        note(absence, began, own=False)
    assert absence.is_hopeless(UNREADABLE_SECONDS + 1)
    assert absence.hindrance == "the terminal that was given the request has not looked itself"


@pytest.mark.parametrize(
    ("look", "own"),
    [
        (replace(clean(), looked_by=frozenset({HERE})), True),
        (replace(clean(), looked_by=frozenset({"another"})), False),
        (replace(clean(), custody={}, away=frozenset({HERE})), False),
        (replace(clean(terminal="another"), looked_by=frozenset({"another"})), True),
    ],
)
def test_its_own_terminal_need_not_look_when_it_is_none_of_the_account_s_any_more(look: Search, own: bool) -> None:  # noqa: FBT001 - a case of this table
    assert is_own(look, lost()) is own
    assert is_own(look, replace(lost(), sender=None))


def test_a_terminal_that_is_being_restarted_is_waited_for_like_one_that_cannot_be_read() -> None:
    # Given that another terminal answers meanwhile, and that the send's own is back after 62 s: its call's limit and a
    # slow start
    absence = Absence(sent_by=2, horizon=15)
    away = replace(clean(since=-60), away=frozenset({HERE}))
    back = replace(clean(since=60), looked_by=frozenset({HERE}))
    for began in range(62):
        assert not absence.is_hopeless(began)
        held = is_held(away, lost())
        note(absence, began, hindrance(away, unknown(), lost()), readable=is_decisive(away, lost()), held=held)
    for began in range(62, 82):
        assert not absence.is_hopeless(began)
        note(absence, began, hindrance(back, unknown(), lost()), readable=is_decisive(back, lost()))

    # Then it is proved, and nobody was told
    assert absence.is_proved(lag=1)


def test_a_terminal_that_restarts_slowly_has_time_left_to_load_its_history() -> None:
    # Given that it is back after 75 s, and shows nothing for another 30 s
    absence = Absence(sent_by=10, horizon=15)
    for began in range(75):
        note(absence, began, "it is being opened", readable=False, held=True)
        assert not absence.is_hopeless(began)
    for began in range(75, 105):
        note(absence, began, "its history is not loaded", readable=began > 100)
        assert not absence.is_hopeless(began)
    for began in (105, 107):
        note(absence, began)
    assert absence.is_proved(lag=1)


def test_a_terminal_that_is_there_and_still_holds_it_is_not_waited_for() -> None:
    absence = Absence(sent_by=0, horizon=15)
    for began in range(31):
        note(absence, began, hindrance(clean(0), unknown(), lost()), readable=is_decisive(clean(0), lost()), held=True)
    assert absence.is_hopeless(31)
