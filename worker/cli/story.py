"""One trade, told from end to end: as one JSON object, or as a page for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from worker.cli.advice import is_silent, to_do
from worker.cli.show import cell, console, duration, print_fields, print_table, shortened, words
from worker.domain.at_broker import AtBroker, at_broker
from worker.domain.execution import OPEN, Deal, Execution, State
from worker.ledger.audit import AuditRow
from worker.ledger.history import ExecutionStory
from worker.ledger.timeline import Line, TimeSource, timeline
from worker.pipeline.settle import executes_too_much

_DETAIL_CHARACTERS = 400
_LINE_CHARACTERS = 120
_TICKETS = ("deal_id", "order_id", "position_id", "magic", "order_ticket")
_TIMES = ("received_at", "validated_at", "submitted_at", "accepted_at", "filled_at", "settled_at")
_SIDES = {1: "buy", -1: "sell"}
_UNSURE = frozenset({State.UNKNOWN, State.UNRESOLVED})


def story_as_json(story: ExecutionStory) -> dict[str, Any]:
    """Return all of it; what is JSON in the ledger stays JSON."""
    there = _at_broker(story)
    return {
        **_fields(story.execution),
        "at_broker": {"answer": there.answer, "why": there.why},
        "units_at_risk": there.units_at_risk,
        "to_do": to_do(story),
        "waits_for": _waits_for(story),
        "message": asdict(story.execution.message),
        "timeline": [asdict(line) for line in timeline(story)],
        "deals": [_with_texts(asdict(deal)) for deal in story.execution.deals],
        "attempts": [_with_texts(asdict(attempt)) for attempt in story.attempts],
        "events": [_event(event) for event in story.events],
        "events_meanwhile": [_event(event) for event in story.meanwhile],
        "confirmations": [asdict(told) | {"body": json.loads(told.body)} for told in story.confirmations],
        "dead_letters": [asdict(letter) for letter in story.dead_letters],
        "replays": [asdict(replay) for replay in story.replays],
    }


def print_story(story: ExecutionStory, *, raw: bool = False) -> None:
    """Print it in the order in which a person asks: what came of it, what is to be done, and how it went."""
    print_fields(_head(story, _at_broker(story)))
    _print_timeline(timeline(story))
    _section("Deals", ["deal", "order", "lots", "units", "price", "commission", "time, UTC"], _deals(story))
    _section(
        "Dead letters",
        ["id", "reason", "state", "taken in, UTC"],
        [[letter.id, letter.reason, letter.state, words(letter.taken_in_at)[:19]] for letter in story.dead_letters],
    )
    if raw:
        _print_raw(story)


def _head(story: ExecutionStory, there: AtBroker) -> Mapping[str, object]:
    execution, decision = story.execution, story.execution.trade.decision
    lots = "" if execution.requested_lots is None else f" ({words(execution.requested_lots)} lots)"
    reason = "" if execution.reason is None else f", {execution.reason}"
    return {
        "trade": f"{execution.trade.identity.trade_id} ({execution.trade.identity.kind}), account {execution.account}",
        "execution": execution.execution_id,
        "approved": f"{_SIDES[decision.direction]} {words(decision.units)} {decision.symbol}{lots}",
        "venue": execution.venue and f"{execution.venue.mode}, {execution.venue.server}, login {execution.venue.login}",
        "status": f"{execution.state.upper()}{reason}, confirmation version {execution.version or 'none yet'}",
        "detail": execution.detail and _cut(execution.detail),
        "certain": _certain(execution),
        "not certain": "whether the last attempt was executed" if execution.state in _UNSURE else None,
        "at broker": _cut(str(there)),
        "waits for": _waits_for(story),
        "to do": "\n".join(to_do(story)) or _nothing_to_do(story),
    }


def _at_broker(story: ExecutionStory) -> AtBroker:
    return at_broker(story.execution, story.attempts[-1] if story.attempts else None)


def _certain(execution: Execution) -> str:
    if not execution.deals:
        return "no deal of it is known"
    price = "" if execution.fill_price is None else f" at {words(execution.fill_price)}"
    over = ": MORE THAN WAS ASKED FOR, look at the positions at once" if executes_too_much(execution) else ""
    return f"{words(execution.executed_lots)} of {words(execution.requested_lots)} lots are executed{price}{over}"


def _nothing_to_do(story: ExecutionStory) -> str:
    if story.execution.state not in OPEN:
        return "nothing"
    return f"nothing: worker {story.leader.lease_holder} is at it"


def _waits_for(story: ExecutionStory) -> str | None:
    """Return why it waits, as its worker said a moment ago; what a silent one has said is no news."""
    execution, report = story.execution, story.leader.worker_report
    if execution.state is not State.RECEIVED or is_silent(story.leader):
        return None
    waiting: Mapping[str, str] = report.get("waiting_for_terminal", {})
    symbol = execution.trade.decision.symbol
    held = f"the end of a halt, as all trades of {symbol} do" if symbol in report.get("held", {}) else None
    return waiting.get(str(execution.execution_id), held)


def _print_timeline(lines: Sequence[Line]) -> None:
    """Print it with a title for each day, so that times need no date."""
    days: dict[str, list[Line]] = {}
    for line in lines:
        days.setdefault(f"{line.at:%Y-%m-%d}", []).append(line)
    for day, of_day in days.items():
        _section(f"Timeline, {day} UTC", ["at", "after", "who", "what"], [_row(line) for line in of_day])


def _row(line: Line) -> list[object]:
    mark = "~" if line.clock is TimeSource.BROKER else " "
    after = "" if line.seconds_after is None else duration(line.seconds_after)
    what = f"{line.what}: {_cut(line.detail, _LINE_CHARACTERS)}" if line.detail else line.what
    return [f"{mark}{_time(line.at)}", after, shortened(line.who), what]


def _time(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


def _cut(text: str, most: int = _DETAIL_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]}... (all of it with --json)"


def _print_raw(story: ExecutionStory) -> None:
    for title, said in _exchanges(story):
        console().print(cell(f"\n{title}"), style="bold")
        console().print(cell(json.dumps(said, indent=2, ensure_ascii=False, default=str)), soft_wrap=False)


def _exchanges(story: ExecutionStory) -> Iterator[tuple[str, Any]]:
    """Yield what was asked of the broker and what he answered, as it went over the wire."""
    for attempt in story.attempts:
        yield f"Attempt {attempt.number}, request", attempt.request
        yield f"Attempt {attempt.number}, reply", attempt.reply
    for event in story.events:
        if event.kind == "cancel_answered":
            payload = json.loads(event.payload)
            yield "Cancel, request", payload.get("request")
            yield "Cancel, reply", payload.get("reply")


def _event(event: AuditRow) -> dict[str, Any]:
    return asdict(event) | {"payload": json.loads(event.payload)}


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


def _deals(story: ExecutionStory) -> list[list[object]]:
    return [
        [deal.deal_id, deal.order_id, deal.lots, deal.units, deal.price, deal.commission, _shown_at(deal)]
        for deal in story.execution.deals
    ]


def _shown_at(deal: Deal) -> str:
    return f"attested by {deal.attested_by}" if deal.time is None else f"~{_time(deal.time)}"


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        console().print(cell(f"\n{title}"), style="bold")
        print_table(columns, rows, none="", whole=("at", "after", "id"), numbers=("after",))
