"""What an answer proves. Whatever is not in the table proves nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.market import NotSentReason, SendReport, SendStatus
from worker.domain.outcomes import Proof, judge, judge_retcode

LISTED = {
    Proof.ACCEPTED: {10008, 10009, 10010},
    Proof.RETRY: {10004, 10020, 10021, 10024, 10028},
    Proof.WAIT: {10026, 10027},
    Proof.REFUSED: {
        10006, 10007, 10013, 10014, 10015, 10016, 10017, 10018, 10019, 10022, 10030, 10032, 10033, 10034, 10035,
        10038, 10040, 10042, 10043, 10044, 10045,
    },
}  # fmt: skip
ALL_LISTED = set().union(*LISTED.values())


@pytest.mark.parametrize(("proof", "code"), [(proof, code) for proof, codes in LISTED.items() for code in codes])
def test_listed_codes(proof: Proof, code: int) -> None:
    assert judge_retcode(code).proof is proof


@given(st.integers(-(10**6), 10**6).filter(lambda code: code not in ALL_LISTED))
def test_every_other_code_is_ambiguous(code: int) -> None:
    assert judge_retcode(code).proof is Proof.AMBIGUOUS


def test_a_closed_market_has_its_own_reason() -> None:
    assert judge_retcode(10018).reason == "market_closed"
    assert judge_retcode(10006).reason == "broker_rejection"


@given(st.integers(-20_000, 20_000))
def test_silence_is_ambiguous_unless_the_package_says_that_nothing_left(last_error: int) -> None:
    proof = judge(SendReport(SendStatus.NO_ANSWER, last_error=last_error)).proof
    if last_error in {-10004, -8}:
        assert proof is Proof.WAIT
    elif last_error == -2:
        assert proof is Proof.REFUSED
    else:
        assert proof is Proof.AMBIGUOUS


def test_a_killed_session_is_ambiguous() -> None:
    assert judge(SendReport(SendStatus.NO_ANSWER)).proof is Proof.AMBIGUOUS


@pytest.mark.parametrize("reason", list(NotSentReason))
@pytest.mark.parametrize("retcode", [None, 10004, 10012, 10018, 10019, 10027, 99999])
def test_what_was_not_sent_is_never_ambiguous(reason: NotSentReason, retcode: int | None) -> None:
    judgement = judge(SendReport(SendStatus.NOT_SENT, reason=reason, retcode=retcode))
    assert judgement.proof in {Proof.RETRY, Proof.WAIT, Proof.REFUSED}


def test_a_price_that_moved_is_said_to_have_moved() -> None:
    report = SendReport(SendStatus.NOT_SENT, reason=NotSentReason.PRICE_MOVED, detail="1.1 to 1.2")
    assert judge(report).reason == "price_moved"
