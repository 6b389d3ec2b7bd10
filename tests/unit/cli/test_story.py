"""One trade told from end to end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from worker.cli.story import print_story, story_as_json
from worker.domain.execution import Attempt, Deal, Execution, State, Venue
from worker.domain.message import IncomingMessage
from worker.domain.trade import Decision, Direction, IdentityKind, Trade, TradeIdentity
from worker.ledger.audit import AuditRow
from worker.ledger.history import ExecutionStory, LetterOfTrade, ReplayLine, StoredConfirmation

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MAGIC = 2**62 + 1


def _at(milliseconds: float) -> datetime:
    return START + timedelta(milliseconds=milliseconds)


def _event(sequence: int, milliseconds: float, kind: str, payload: Mapping[str, object]) -> AuditRow:
    return AuditRow("main", sequence, _at(milliseconds).isoformat(), "worker", kind, None, json.dumps(payload), "0")


@pytest.fixture
def story() -> ExecutionStory:
    """Tell of a trade that was filled, and once was a dead letter."""
    decision = Decision("main", "EURUSD", Direction.LONG, Decimal(10_000), None, START)
    trade = Trade(TradeIdentity(IdentityKind.ORDER_ID, "RPM-7"), decision, "RPM-7", "sha256:0")
    deal = Deal(
        deal_id=70,
        order_id=80,
        magic=MAGIC,
        position_id=90,
        lots=Decimal("0.1"),
        units=Decimal(10_000),
        price=Decimal("1.08425"),
        commission=Decimal("-0.35"),
        fee=Decimal(0),
        time=_at(20),
    )
    execution = Execution(
        execution_id=UUID(int=1),
        account="main",
        trade=trade,
        message=IncomingMessage(b'{"decision": {}}', routing_key="approved.main.EURUSD"),
        token=MAGIC,
        received_at=START,
        state=State.FILLED,
        version=1,
        sends=1,
        venue=Venue("simulated", "Simulated-Demo", 50_000_001, "simulated"),
        requested_lots=Decimal("0.1"),
        order_ticket=80,
        position_id=90,
        deals=(deal,),
    )
    attempt = Attempt(1, MAGIC, Decimal("0.1"), {"action": 1}, "accepted", sent_at=_at(12), answered_at=_at(14.5))
    return ExecutionStory(
        execution=execution,
        attempts=[attempt],
        events=[
            _event(1, 2, "received", {"trade_id": "RPM-7", "body": "x" * 5000}),
            _event(2, 10.5, "submitting", {"attempt": 1, "lots": "0.1"}),
        ],
        confirmations=[
            StoredConfirmation(
                version=1,
                status="filled",
                final=True,
                routing_key="confirmation.filled.main.EURUSD",
                correlation_id="RPM-7",
                message_id=f"{UUID(int=1)}:1",
                body=b'{"status":"filled"}',
                created_at=_at(21),
                published_at=_at(24),
            )
        ],
        dead_letters=[
            LetterOfTrade(
                id=UUID(int=2),
                reason="network_error",
                detail="three sends, each proved not executed",
                state="resolved",
                account="main",
                trade_id="RPM-7",
                execution_id=UUID(int=1),
                source_queue="trades.dead",
                failed_at=START,
                taken_in_at=START,
                state_by=None,
                state_reason=None,
                state_at=None,
            )
        ],
        replays=[
            ReplayLine(
                replay_id=UUID(int=3),
                letter_id=UUID(int=2),
                by="alice@desk",
                reason="prices are back",
                allow_stale=True,
                created_at=START,
                consumed_at=START,
                consumed_as="reopened",
            )
        ],
    )


class TestAsJson:
    def test_it_has_all_parts(self, story: ExecutionStory) -> None:
        told = story_as_json(story)

        assert told["execution_id"] == UUID(int=1)
        assert told["status"] == "filled"
        assert [event["payload"] for event in told["events"]][1] == {"attempt": 1, "lots": "0.1"}
        assert told["confirmations"][0]["body"] == {"status": "filled"}
        assert told["dead_letters"][0]["reason"] == "network_error"
        assert told["replays"][0]["by"] == "alice@desk"

    def test_numbers_that_readers_would_round_are_text(self, story: ExecutionStory) -> None:
        told = story_as_json(story)

        assert (told["order_id"], told["position_id"]) == ("80", "90")
        assert told["attempts"][0]["magic"] == told["deals"][0]["magic"] == str(MAGIC)
        assert (told["deals"][0]["deal_id"], told["attempts"][0]["order_ticket"]) == ("70", None)


class TestAsAPage:
    @pytest.fixture
    def page(self, story: ExecutionStory, capsys: pytest.CaptureFixture[str]) -> str:
        print_story(story)
        return capsys.readouterr().out

    def test_every_part_has_its_section(self, page: str) -> None:
        for title in ("Timeline", "Attempts", "Deals", "Confirmations", "Dead letters", "Replays"):
            assert f"\n{title}" in page

    def test_the_timeline_tells_how_long_each_step_took(self, page: str) -> None:
        assert "09:30:00.010500" in page
        assert "8.5" in page  # from received to submitting
        assert "2.5" in page  # in order_send
        assert "3.0" in page  # from commit to publication

    def test_long_values_are_left_to_json(self, page: str) -> None:
        assert "xxxxx" not in page
        assert "attempt=1" in page

    def test_it_fits_80_columns(self, page: str) -> None:
        assert max(map(len, page.splitlines())) <= 80


def test_a_trade_that_has_only_arrived_has_no_empty_sections(
    story: ExecutionStory, capsys: pytest.CaptureFixture[str]
) -> None:
    print_story(ExecutionStory(story.execution, [], [], [], [], []))

    assert "Timeline" not in capsys.readouterr().out
