"""What a canary's measurements are told to mean."""

from __future__ import annotations

import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from worker.cli.doctor import broker, measured
from worker.cli.doctor.finding import Finding, Verdict
from worker.domain.broker_facts import BrokerFacts, Kept, Lags, StoredFacts
from worker.domain.errors import WrongSetting
from worker.domain.execution import Venue
from worker.venue import insist_on_kept_magic

WHOLE, GONE = Kept(magic=True, comment=29), Kept(magic=False, comment=0)
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
FACTS = BrokerFacts(
    measured_at=NOW,
    venue=Venue("native", "Broker-Demo", 7, "demo"),
    account_mode="hedging",
    version="500 5000",
    symbol="EURUSD.r",
    lots=Decimal("0.01"),
    order=WHOLE,
    deal=WHOLE,
    position=WHOLE,
    comment_sent=29,
    lags=Lags(0.1, 0.3, 0.05, 0.2),
    clock_offset=7200.0,
    clock_error=0.4,
    execution_mode=2,
    filling_flags=2,
    checks={0: 10030, 1: 0, 2: None},
    retcode=10009,
    deals_by_ticket="order",
    commission=Decimal("-0.07"),
    commission_came_later=False,
    latencies={"order_send": 81.2},
)
STORED = StoredFacts(NOW, "ann@desk", "Broker-Demo", 7, "EURUSD.r", 0.3, keeps_magic=True, keeps_comment=True)


def _findings(horizon: float = 15, **changes: Any) -> dict[str, Finding]:
    return {finding.check: finding for finding in measured.findings(replace(FACTS, **changes), horizon)}


def test_a_broker_without_fault_is_all_ok() -> None:
    found = _findings()

    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert "order 0.1, deal 0.3, position 0.05" in found["history lag"].detail
    assert found["server clock"].detail.startswith("UTC +2 h")
    assert found["execution mode"].detail == "market"
    assert found["filling modes"].detail == (
        "order_check accepts immediate or cancel; refuses fill or kill (10030), return (None); "
        "the symbol's flags name immediate or cancel"
    )
    assert found["commission"].detail.startswith("-0.07 in the account's currency")


@pytest.mark.parametrize(
    ("changes", "check", "verdict"),
    [
        ({"order": GONE}, "magic", Verdict.FAIL),
        ({"deal": GONE}, "magic", Verdict.FAIL),
        ({"position": GONE}, "magic", Verdict.WARN),
        ({"deal": Kept(magic=True, comment=16)}, "comment", Verdict.OK),
        ({"deal": Kept(magic=True, comment=14)}, "comment", Verdict.WARN),
        ({"lags": Lags(0.1, 15.1, 0.1, 0.1)}, "history lag", Verdict.WARN),
        ({"clock_error": -900.0}, "server clock", Verdict.WARN),
        ({"retcode": None}, "order_check", Verdict.WARN),
    ],
)
def test_what_is_not_as_it_should_be_comes_with_what_to_do(
    changes: dict[str, Any], check: str, verdict: Verdict
) -> None:
    finding = _findings(**changes)[check]

    assert finding.verdict is verdict
    assert bool(finding.todo) == (verdict is not Verdict.OK)


@pytest.mark.parametrize(
    ("age", "words"),
    [(timedelta(minutes=5), "5 min ago"), (timedelta(hours=30), "30 h ago"), (timedelta(90), "90 days")],
)
def test_a_canary_of_the_past_is_told_with_its_age(age: timedelta, words: str) -> None:
    finding = measured.remembered(STORED, NOW + age)

    assert finding.verdict is Verdict.OK
    assert words in finding.detail
    assert "(2026-03-02 09:30 UTC, by ann@desk): magic kept, comment kept, history within 0.3 s" in finding.detail


def test_a_worker_does_not_start_where_the_magic_is_dropped() -> None:
    lost = replace(STORED, keeps_magic=False)

    assert measured.remembered(lost, NOW).verdict is Verdict.FAIL
    insist_on_kept_magic([])
    insist_on_kept_magic([replace(STORED, keeps_comment=False)])
    with pytest.raises(WrongSetting, match="Broker-Demo does not keep the magic number of an order on login 7"):
        insist_on_kept_magic([lost])


def test_the_newest_canary_decides_whatever_its_symbol() -> None:
    # Given a symbol that the broker no longer has, so that no canary can fly on it again
    lost = replace(STORED, keeps_magic=False)
    newer = replace(STORED, symbol="GBPUSD", measured_at=NOW + timedelta(days=1))

    # When one has flown on another symbol
    insist_on_kept_magic([lost, newer])

    # Then the doctor warns of the first one only
    assert measured.remembered(lost, NOW, is_newest=False).verdict is Verdict.WARN
    with pytest.raises(WrongSetting):
        insist_on_kept_magic([replace(newer, keeps_magic=False), STORED])


def test_ctrl_c_does_not_interrupt_a_flight(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)

    with broker._uninterrupted():
        signal.raise_signal(signal.SIGINT)

    assert "the canary is being closed" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before
