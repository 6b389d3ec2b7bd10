"""One trade, told from end to end: as one JSON object, or as a page for a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from worker.cli.show import cell, console, print_fields, print_table
from worker.domain.execution import Deal, Execution
from worker.ledger.audit import AuditRow
from worker.ledger.history import ExecutionStory

_SHORT_CHARACTERS = 60
_TICKETS = ("deal_id", "order_id", "position_id", "magic", "order_ticket")
_TIMES = ("received_at", "validated_at", "submitted_at", "accepted_at", "filled_at", "settled_at")


def story_as_json(story: ExecutionStory) -> dict[str, Any]:
    """Return all of it; what is JSON in the ledger stays JSON."""
    return {
        **_fields(story.execution),
        "message": asdict(story.execution.message),
        "deals": [_with_texts(asdict(deal)) for deal in story.execution.deals],
        "attempts": [_with_texts(asdict(attempt)) for attempt in story.attempts],
        "events": [asdict(event) | {"payload": json.loads(event.payload)} for event in story.events],
        "confirmations": [asdict(told) | {"body": json.loads(told.body)} for told in story.confirmations],
        "dead_letters": [asdict(letter) for letter in story.dead_letters],
        "replays": [asdict(replay) for replay in story.replays],
    }


def print_story(story: ExecutionStory) -> None:
    """Print it in the order in which a person asks: what came of it, when, how, and what was told."""
    print_fields(_fields(story.execution))
    _section("Timeline", ["UTC", "after ms", "event", "by", "what"], _timeline(story.events))
    _section("Attempts", ["no.", "lots", "outcome", "code", "order", "ms", "detail"], _attempts(story))
    _section("Deals", ["deal", "order", "lots", "units", "price", "commission", "time, UTC"], _deals(story))
    _section("Confirmations", ["version", "status", "made, UTC", "published after ms"], _confirmations(story))
    _section(
        "Dead letters",
        ["id", "reason", "state", "detail"],
        [[letter.id, letter.reason, letter.state, letter.detail] for letter in story.dead_letters],
    )
    _section(
        "Replays",
        ["ordered, UTC", "by", "why", "became"],
        [[replay.created_at, replay.by, replay.reason, replay.consumed_as] for replay in story.replays],
    )


def _fields(execution: Execution) -> dict[str, Any]:
    decision, venue = execution.trade.decision, execution.venue
    return {
        "execution_id": execution.execution_id,
        "trade_id": execution.trade.identity.trade_id,
        "identity_kind": execution.trade.identity.kind,
        "account": execution.account,
        "symbol": decision.symbol,
        "broker_symbol": execution.broker_symbol,
        "direction": int(decision.direction),
        "units": decision.units,
        "status": execution.state,
        "version": execution.version,
        "reason": execution.reason,
        "detail": execution.detail,
        "backend": venue and venue.backend,
        "server": venue and venue.server,
        "login": venue and venue.login,
        "order_id": None if execution.order_ticket is None else str(execution.order_ticket),
        "position_id": None if execution.position_id is None else str(execution.position_id),
        "requested_lots": execution.requested_lots,
        "executed_lots": execution.executed_lots,
        "intended_price": execution.intended_price,
        "fill_price": execution.fill_price,
        "sends": execution.sends,
        "approved_at": decision.approved_at,
        **{name: getattr(execution, name) for name in _TIMES},
    }


def _with_texts(row: dict[str, Any]) -> dict[str, Any]:
    """Write tickets and magic numbers as text: many readers of JSON round integers of 63 bits."""
    return {name: str(value) if name in _TICKETS and value is not None else value for name, value in row.items()}


def _timeline(events: Sequence[AuditRow]) -> list[list[object]]:
    rows: list[list[object]] = []
    last = None
    for event in events:
        moment = datetime.fromisoformat(event.at)
        what = _in_short(json.loads(event.payload))
        rows.append([f"{moment:%H:%M:%S.%f}", _milliseconds(last, moment), event.kind, event.actor, what])
        last = moment
    return rows


def _attempts(story: ExecutionStory) -> list[list[object]]:
    return [
        [
            attempt.number,
            attempt.lots,
            attempt.outcome,
            attempt.retcode,
            attempt.order_ticket,
            _milliseconds(attempt.sent_at, attempt.answered_at),
            attempt.detail,
        ]
        for attempt in story.attempts
    ]


def _deals(story: ExecutionStory) -> list[list[object]]:
    return [
        [deal.deal_id, deal.order_id, deal.lots, deal.units, deal.price, deal.commission, _shown_at(deal)]
        for deal in story.execution.deals
    ]


def _shown_at(deal: Deal) -> str:
    return f"attested by {deal.attested_by}" if deal.time is None else f"{deal.time:%H:%M:%S.%f}"


def _confirmations(story: ExecutionStory) -> list[list[object]]:
    return [
        [told.version, told.status, told.created_at, _milliseconds(told.created_at, told.published_at)]
        for told in story.confirmations
    ]


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        console().print(cell(f"\n{title}"), style="bold")
        print_table(columns, rows, none="")


def _in_short(payload: Mapping[str, Any]) -> str:
    """Return what fits a few lines, and why; bodies, hashes, the broker's requests and replies are for --json."""
    short = {name: f"{name}={value}" for name, value in payload.items() if isinstance(value, str | int | float)}
    return " ".join(part for name, part in short.items() if name == "reason" or len(part) <= _SHORT_CHARACTERS)


def _milliseconds(earlier: datetime | None, later: datetime | None) -> str | None:
    return None if earlier is None or later is None else f"{(later - earlier).total_seconds() * 1000:.1f}"
