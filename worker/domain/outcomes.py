"""
What a terminal's answer to a send proves.

The table follows MetaTrader's documented return codes and its users' reports of them. A code that is not listed proves
nothing: it is ambiguous, like a time-out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from worker.domain.market import NotSentReason, SendReport, SendStatus


class Proof(StrEnum):
    """What to do next."""

    ACCEPTED = "accepted"  # the broker has the order; its deals decide
    RETRY = "retry"  # proved not executed, and another try may succeed
    WAIT = "wait"  # proved not executed; the terminal cannot trade now
    REFUSED = "refused"  # proved not executed, and will not be
    AMBIGUOUS = "ambiguous"  # proves nothing: look it up, never send again


@dataclass(frozen=True, slots=True)
class Judgement:
    """A proof, with the confirmation's reason where it ends the trade, in words."""

    proof: Proof
    reason: str | None
    detail: str


PIPE_WAS_CLOSED = -10004  # no connection to the terminal before the call: nothing left
API_DISABLED = -8
INVALID_ARGUMENT = -2

_ACCEPTED = {10008: "order placed", 10009: "request completed", 10010: "request completed partially"}
_RETRY = {
    10004: "requote",
    10020: "prices changed",
    10021: "no quotes",
    10024: "too many requests",
    10028: "request locked for processing",
}
_WAIT = {10026: "autotrading disabled by the server", 10027: "autotrading disabled in the terminal"}
_REFUSED = {
    10006: "request rejected",
    10007: "request cancelled by the trader",
    10013: "invalid request",
    10014: "invalid volume",
    10015: "invalid price",
    10016: "invalid stops",
    10017: "trade disabled",
    10018: "market closed",
    10019: "not enough money",
    10022: "invalid expiration",
    10030: "invalid filling mode",
    10032: "live accounts only",
    10033: "limit of pending orders reached",
    10034: "limit of orders and positions volume reached",
    10035: "invalid or prohibited order type",
    10038: "close volume exceeds the position",
    10040: "limit of open positions reached",
    10042: "only long positions allowed",
    10043: "only short positions allowed",
    10044: "only closing allowed",
    10045: "closing by FIFO rule only",
}
_MARKET_CLOSED = 10018


def judge(report: SendReport) -> Judgement:
    """Classify what is known after a send."""
    if report.status is SendStatus.NOT_SENT:
        return _judge_not_sent(report)
    if report.status is SendStatus.ANSWERED and report.retcode is not None:
        return judge_retcode(report.retcode)
    if report.last_error in {PIPE_WAS_CLOSED, API_DISABLED}:
        return Judgement(Proof.WAIT, None, f"nothing was sent: {report.detail} ({report.last_error})")
    if report.last_error == INVALID_ARGUMENT:
        return Judgement(Proof.REFUSED, "broker_rejection", f"the terminal refused the request: {report.detail}")
    return Judgement(Proof.AMBIGUOUS, None, report.detail or "no answer to the send")


def judge_retcode(retcode: int) -> Judgement:
    """Classify a trade server's return code (10004..10045); anything unknown is ambiguous."""
    if retcode in _ACCEPTED:
        return Judgement(Proof.ACCEPTED, None, f"{retcode} {_ACCEPTED[retcode]}")
    if retcode in _RETRY:
        return Judgement(Proof.RETRY, None, f"{retcode} {_RETRY[retcode]}")
    if retcode in _WAIT:
        return Judgement(Proof.WAIT, None, f"{retcode} {_WAIT[retcode]}")
    if retcode in _REFUSED:
        reason = "market_closed" if retcode == _MARKET_CLOSED else "broker_rejection"
        return Judgement(Proof.REFUSED, reason, f"{retcode} {_REFUSED[retcode]}")
    return Judgement(Proof.AMBIGUOUS, None, f"{retcode} does not prove what happened")


def _judge_not_sent(report: SendReport) -> Judgement:
    match report.reason:
        case NotSentReason.CHECK_FAILED if report.retcode is not None:
            judged = judge_retcode(report.retcode)
            if judged.proof in {Proof.RETRY, Proof.WAIT, Proof.REFUSED}:
                return judged
            # Nothing was sent, so even an ambiguous code is only a refusal of the check.
            return Judgement(Proof.RETRY, None, f"order_check answered {judged.detail}")
        case NotSentReason.PRICE_MOVED:
            return Judgement(Proof.REFUSED, "price_moved", report.detail)
        case NotSentReason.INVALID_REQUEST:
            return Judgement(Proof.REFUSED, "broker_rejection", report.detail)
        case NotSentReason.TERMINAL | NotSentReason.WRONG_ACCOUNT:
            return Judgement(Proof.WAIT, None, report.detail)
        case _:
            return Judgement(Proof.RETRY, None, report.detail)
