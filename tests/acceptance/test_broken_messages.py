"""Whatever is broken becomes a dead letter that a person understands, and harms nothing around it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.fixtures.rpm import JsonObject, Sent, approval, changed, rejection, without

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

MEGABYTE = 1024 * 1024
TRADE = "decision.approved_trade"


class Broken(NamedTuple):
    """What is published, why it is refused, and a word that its explanation must contain."""

    make: Callable[[], JsonObject | bytes]
    reason: str
    names: str = ""


def _with(path: str, value: Any, names: str | None = None) -> Broken:
    word = path.rpartition(".")[2] if names is None else names
    return Broken(lambda: changed(approval(), path, value), "schema_invalid", word)


def _lacking(path: str) -> Broken:
    return Broken(lambda: without(approval(), path), "schema_invalid", path.rpartition(".")[2])


def _instruction(field: str, value: Any) -> Broken:
    return Broken(lambda: changed(approval(), f"{TRADE}.{field}", value), "unsupported_instruction", field)


def _text(change: Callable[[str], str], names: str = "") -> Broken:
    return Broken(lambda: change(json.dumps(approval())).encode("utf-8", "surrogatepass"), "malformed_json", names)


def _bytes(body: bytes, reason: str = "malformed_json", names: str = "") -> Broken:
    return Broken(lambda: body, reason, names)


def _number(text: str) -> Broken:
    return _text(lambda body: body.replace("10000.0", text, 1))


def _in_a_string(escape: str) -> Broken:
    return _text(lambda body: body.replace("TREND", f"TREND{escape}", 1))


MALFORMED = {
    "nothing": _bytes(b""),
    "blanks": _bytes(b"  \n "),
    "prose": _bytes(b"please buy some euros"),
    "a brace": _bytes(b"{"),
    "cut off": _text(lambda body: body[: len(body) // 2]),
    "something after it": _text(lambda body: body + " {}"),
    "single quotes": _text(lambda body: body.replace('"', "'")),
    "a trailing comma": _text(lambda body: body[:-1] + ",}"),
    "a comment": _text(lambda body: "// approved\n" + body),
    "NaN": _number("NaN"),
    "Infinity": _number("Infinity"),
    "-Infinity": _number("-Infinity"),
    "1e999": _number("1e999"),
    "-1e999": _number("-1e999"),
    "a number of 5000 digits": _number("1" * 5000),
    "NaN where nobody looks": Broken(
        lambda: json.dumps(changed(approval(), "risk_metrics", {"sharpe": float("nan")})).encode(), "malformed_json"
    ),
    "a key twice": _text(lambda body: body[:-1] + ', "rpm_version": "2"}', "rpm_version"),
    "a key twice, deep inside": _text(
        lambda body: body.replace('"regime":', '"symbol": "USDJPY", "regime":', 1), "symbol"
    ),
    "an escaped NUL": _in_a_string("\\u0000"),
    "a raw NUL": _in_a_string("\x00"),
    "half a surrogate pair": _in_a_string("\\ud800"),
    "the other half": _in_a_string("\\udc00"),
    "a raw surrogate": _in_a_string("\ud800"),
    "a NUL in a key": _text(lambda body: body[:-1] + ', "a\\u0000b": 1}'),
    "not UTF-8": _bytes(b'{"decision": "\xff\xfe"}'),
    "UTF-16": Broken(lambda: json.dumps(approval()).encode("utf-16"), "malformed_json"),
    "100000 lists deep": _bytes(b"[" * 100_000 + b"]" * 100_000),
    "100000 objects deep": _bytes(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "lists without an end": _bytes(b"[" * 100_000),
}
HUGE = {
    "5 MB of blanks": _bytes(b" " * (5 * MEGABYTE), "message_too_large"),
    "5 MB in a text": Broken(
        lambda: json.dumps(changed(approval(), f"{TRADE}.regime", "x" * 5 * MEGABYTE)).encode(), "message_too_large"
    ),
}
WRONG = {
    "a list": _bytes(b"[]", "schema_invalid"),
    "a text": _bytes(b'"buy"', "schema_invalid"),
    "a number": _bytes(b"42", "schema_invalid"),
    "null": _bytes(b"null", "schema_invalid"),
    "true": _bytes(b"true", "schema_invalid"),
    "an empty object": _bytes(b"{}", "schema_invalid", "decision"),
    "decision is a list": _with("decision", []),
    "decision is null": _with("decision", None),
    "status is unknown": _with("decision.status", "MAYBE"),
    "status in small letters": _with("decision.status", "approved"),
    "status is null": _with("decision.status", None),
    "approved without a trade": _with(TRADE, None),
    "rejected without a trade": Broken(
        lambda: changed(rejection(), "decision.rejected_trade", None), "schema_invalid", "rejected_trade"
    ),
    "trade is a list": _with(TRADE, [1]),
    "order_id is a number": _with("decision.order_id", 17),
    "order_id of 201 bytes": _with("decision.order_id", "x" * 201),
    "order_id of 101 letters and 202 bytes": _with("decision.order_id", "é" * 101),
    "kill switch is a text": _with("decision.kill_switch_triggered", "no"),
    "kill switch is a number": _with("decision.kill_switch_triggered", 0),
    "violations are a text": _with("decision.portfolio_constraint_violations", "none"),
    "halted is a text": _with("portfolio_state.trading_halted", "false"),
    "halted is null": _with("portfolio_state.trading_halted", None),
    "equity is a text": _with("portfolio_state.equity", "1000"),
    "symbol is empty": _with(f"{TRADE}.symbol", ""),
    "symbol is null": _with(f"{TRADE}.symbol", None),
    "symbol is a number": _with(f"{TRADE}.symbol", 1),
    "symbol of 30 characters": _with(f"{TRADE}.symbol", "E" * 30),
    "symbol of 15 characters and 30 units": _with(f"{TRADE}.symbol", "\U0001f4b6" * 15),
    "direction is 0": _with(f"{TRADE}.direction", 0),
    "direction is 2": _with(f"{TRADE}.direction", 2),
    "direction is a half": _with(f"{TRADE}.direction", 0.5),
    "direction is a text": _with(f"{TRADE}.direction", "1"),
    "direction is a word": _with(f"{TRADE}.direction", "long"),
    "direction is true": _with(f"{TRADE}.direction", value=True),
    "units are 0": _with(f"{TRADE}.position_units", 0),
    "units are negative": _with(f"{TRADE}.position_units", -10_000.0),
    "units are a text": _with(f"{TRADE}.position_units", "10000"),
    "units are true": _with(f"{TRADE}.position_units", value=True),
    "units are null": _with(f"{TRADE}.position_units", None),
    "units are a list": _with(f"{TRADE}.position_units", [10_000.0]),
    "intended price is negative": _with(f"{TRADE}.intended_price", -1.1),
    "intended price is 0": _with(f"{TRADE}.intended_price", 0),
    "intended price is a text": _with(f"{TRADE}.intended_price", "1.1"),
    "time is a word": _with(f"{TRADE}.timestamp", "yesterday"),
    "time is a number": _with(f"{TRADE}.timestamp", 1_767_225_600),
    "time is no date": _with(f"{TRADE}.timestamp", "2026-02-30T00:00:00"),
    "time is a date only": _with(f"{TRADE}.timestamp", "2026-02-03"),
    "6 s in the future": Broken(lambda: approval(age=-7), "schema_invalid", "future"),
    "an hour in the future": Broken(lambda: approval(age=-3600), "schema_invalid", "future"),
    "a thousand years ahead": _with(f"{TRADE}.timestamp", "3026-01-01T00:00:00", "future"),
}
WRONG |= {
    f"{field} is a text": _with(f"{TRADE}.{field}", "0.5")
    for field in ("confidence_score", "base_units", "atr", "vol_percentile", "risk_per_trade", "kelly_fraction")
}
WRONG |= {
    f"{field} is true": _with(f"{TRADE}.{field}", value=True) for field in ("confidence_score", "base_units", "atr")
}
WRONG |= {
    f"without {path}": _lacking(path)
    for path in (
        "decision",
        "portfolio_state",
        "timestamp",
        "decision.status",
        "portfolio_state.trading_halted",
        *(
            f"{TRADE}.{field}"
            for field in (
                "symbol",
                "direction",
                "position_units",
                "confidence_score",
                "regime",
                "base_units",
                "confidence_adjustment",
                "regime_adjustment",
                "correlation_adjustment",
                "atr",
                "vol_percentile",
                "risk_per_trade",
                "risk_override",
                "timestamp",
                "rpm_version",
            )
        ),
    )
}
UNSUPPORTED = {
    "order_type limit": _instruction("order_type", "limit"),
    "order_type STOP": _instruction("order_type", "STOP"),
    "order_type is a number": _instruction("order_type", 1),
    "limit_price": _instruction("limit_price", 1.08),
    "stop_price": _instruction("stop_price", 1.08),
    "stop_loss": _instruction("stop_loss", 1.07),
    "stop_loss of 0": _instruction("stop_loss", 0),
    "take_profit": _instruction("take_profit", 1.12),
    "take_profit as a text": _instruction("take_profit", "1.12"),
    "sl": _instruction("sl", 1.07),
    "tp": _instruction("tp", 1.12),
    "expiration": _instruction("expiration", "2031-01-01T00:00:00"),
    "expiration of false": _instruction("expiration", value=False),
}
ALL = {**MALFORMED, **HUGE, **WRONG, **UNSUPPORTED}


class Run(NamedTuple):
    """Everything published at once: the broken messages by name, good trades between them."""

    broken: dict[str, Sent]
    good: list[Sent]


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk() as desk:
        yield desk


@pytest.fixture(scope="module")
def run(desk: Desk) -> Run:
    """Publish every broken message, a good trade after every fifth, and wait until everything is confirmed."""
    broken, good = {}, []
    for number, (name, message) in enumerate(ALL.items()):
        broken[name] = desk.publish(message.make(), correlation_id=name)
        if number % 5 == 0:
            good.append(desk.publish(approval("GBPUSD", 1_000.0 * (number + 1))))
    for sent in [*broken.values(), *good]:
        desk.confirmation(sent, timeout=60)
    return Run(broken, good)


@pytest.fixture(scope="module")
def letters(desk: Desk, run: Run) -> dict[str, dict[str, Any]]:
    """Return the dead letters by execution, once as many are listed as were published."""
    wanted = {desk.confirmation(sent)["execution_id"] for sent in run.broken.values()}
    found: dict[str, dict[str, Any]] = {}

    def all_listed() -> bool:
        found.update({one["execution_id"]: one for one in desk.listing("dlq", "list")})
        return wanted <= found.keys()

    eventually(all_listed, "not every broken message is listed")
    return found


@pytest.mark.parametrize("name", ALL)
def test_a_broken_message_is_a_dead_letter_and_its_sender_is_told(
    desk: Desk, run: Run, letters: dict[str, dict[str, Any]], name: str
) -> None:
    expected = ALL[name]

    told = desk.confirmation(run.broken[name])

    assert told.outcome == ("rejected", expected.reason)
    assert (told["version"], told["final"], told["account"]) == (1, True, "main")
    assert (told["order_id"], told["deals"], told["executed_units"] or 0) == (None, [], 0)
    assert told.routing_key == f"confirmation.rejected.main.{told['symbol'] or '_'}"
    letter = letters[told["execution_id"]]
    assert (letter["reason"], letter["account"]) == (expected.reason, "main")
    _is_for_a_person(letter["detail"], expected.names)
    _is_for_a_person(told["rejection_details"], expected.names)


def _is_for_a_person(detail: str, names: str) -> None:
    assert names in detail
    assert 10 < len(detail) < 2_000
    assert detail.isprintable()
    assert not re.search(r"Traceback|pydantic|Error\(|validation error|<class|site-packages", detail)


@pytest.mark.parametrize("name", MALFORMED)
def test_what_cannot_be_read_is_null_in_the_answer(desk: Desk, run: Run, name: str) -> None:
    told = desk.confirmation(run.broken[name])

    assert (told["symbol"], told["direction"], told["intended_units"], told["rpm_order_id"]) == (None,) * 4
    assert told.routing_key == "confirmation.rejected.main._"


@pytest.mark.parametrize("name", ["units are 0", "6 s in the future", "stop_loss"])
def test_what_can_be_read_is_told(desk: Desk, run: Run, name: str) -> None:
    told = desk.confirmation(run.broken[name])

    assert (told["symbol"], told["direction"]) == ("EURUSD", 1)
    assert told["rpm_order_id"] == run.broken[name].order_id
    assert told.routing_key == "confirmation.rejected.main.EURUSD"


def test_the_good_trades_between_them_are_filled(desk: Desk, run: Run) -> None:
    assert {desk.confirmation(sent).outcome for sent in run.good} == {("filled", None)}
    assert len([one for one in desk.book.traded("GBPUSD") if one.deals]) == len(run.good)


def test_nothing_of_the_broken_ones_reached_the_broker(desk: Desk, run: Run) -> None:
    refused = {desk.confirmation(sent)["execution_id"] for sent in run.broken.values()}

    assert len(refused) == len(run.broken)
    assert not [one for one in desk.book.traded("EURUSD") if one.lots == 10]
    assert not [one for one in desk.listing("executions", "list") if one["execution_id"] in refused]


def test_the_worker_is_none_the_worse_for_it(desk: Desk, run: Run) -> None:
    assert run.broken

    assert desk.worker.runs
    assert "Traceback" not in desk.worker.log


@pytest.mark.parametrize("name", ["market", "MARKET", "Market", None])
def test_market_is_the_one_order_type_there_is(desk: Desk, name: str | None) -> None:
    message = changed(approval("AUDUSD", 1_000.0), f"{TRADE}.order_type", name)
    for field in ("limit_price", "stop_price", "stop_loss", "take_profit", "sl", "tp", "expiration"):
        message = changed(message, f"{TRADE}.{field}", None)

    assert desk.confirmed(message).outcome == ("filled", None)


def test_unknown_fields_do_no_harm(desk: Desk) -> None:
    message = changed(approval("AUDUSD", 1_000.0), f"{TRADE}.desk_note", {"of": ["the", "day", None, 1e300]})
    message = changed(message, "extra", "ünïcödé \U0001f4b6")

    assert desk.confirmed(message).outcome == ("filled", None)


def test_risk_metrics_may_lack_fields_and_the_order_id_may_have_200_bytes(desk: Desk) -> None:
    message = changed(approval("AUDUSD", 1_000.0), "risk_metrics", {})
    message = changed(message, "decision.order_id", f"{uuid.uuid4()}".ljust(200, "x"))

    assert desk.confirmed(message).outcome == ("filled", None)


def test_a_few_seconds_of_future_are_a_clocks_error_not_rpms(desk: Desk) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()

    assert desk.confirmed(changed(approval("AUDUSD", 1_000.0), f"{TRADE}.timestamp", soon)).outcome[0] == "filled"


def test_a_broken_message_without_any_name_is_a_dead_letter_too(desk: Desk) -> None:
    body = f"nonsense {uuid.uuid4()}".encode()
    known = {letter["id"] for letter in desk.listing("dlq", "list")}
    told = len(desk.downstream.received)

    desk.publish(body)

    new: list[dict[str, Any]] = []

    def listed() -> bool:
        new[:] = [one for one in desk.listing("dlq", "list") if one["id"] not in known]
        return bool(new)

    eventually(listed, "the letter is not listed")
    assert [one["reason"] for one in new] == ["malformed_json"]
    assert len(desk.downstream.received) == told, "there was nobody to tell"
    shown = desk.command("dlq", "show", new[0]["id"])
    assert (shown.code, "nonsense" in shown.out) == (0, True)


def test_a_second_decision_under_one_name_is_a_conflict_and_touches_nothing(desk: Desk) -> None:
    # Given a trade that was executed
    first = desk.publish(approval("AUDUSD", 42_000.0))
    filled = desk.confirmation(first)
    name = f"c-{uuid.uuid4()}"

    # When another decision comes under its name
    other = changed(first.message, f"{TRADE}.position_units", 43_000.0)
    second = desk.publish(other, correlation_id=name)

    # Then it is refused under an execution of its own, without the trade's name
    told = desk.confirmation(second)
    assert told.outcome == ("rejected", "identity_conflict")
    assert (told["trade_id"], told["version"]) == (None, 1)
    assert told["execution_id"] != filled["execution_id"]
    letter = desk.dead_letter(told["execution_id"])
    assert letter["reason"] == "identity_conflict"
    assert str(first.order_id) in letter["detail"]
    assert not [one for one in desk.book.traded("AUDUSD") if one.order["volume_initial"] == 0.43]
    row = next(one for one in desk.listing("executions", "list") if one["trade_id"] == first.order_id)
    assert (row["execution_id"], row["status"], row["version"]) == (filled["execution_id"], "filled", 1)


@pytest.mark.parametrize(
    ("path", "value"),
    [("direction", -1), ("symbol", "GBPUSD"), ("intended_price", 0.65), ("timestamp", "2026-01-01T00:00:00")],
)
def test_every_part_of_the_decision_counts(desk: Desk, path: str, value: Any) -> None:
    first = desk.publish(approval("AUDUSD", 1_000.0))
    desk.confirmation(first)

    second = desk.publish(changed(first.message, f"{TRADE}.{path}", value), correlation_id=f"c-{uuid.uuid4()}")

    assert desk.confirmation(second).outcome == ("rejected", "identity_conflict")


def test_a_trade_for_another_account_in_this_queue_is_refused(desk: Desk) -> None:
    # Given a queue that someone bound to another account's trades
    desk.rpm.do(lambda channel: channel.queue_bind(desk.queue, "trades", "approved.other.#"))

    told = desk.confirmed(approval("EURUSD", 77_000.0), routing_key="approved.other.EURUSD")

    assert told.outcome == ("rejected", "account_mismatch")
    letter = desk.dead_letter(told["execution_id"])
    assert letter["reason"] == "account_mismatch"
    assert "other" in letter["detail"]
    assert "main" in letter["detail"]
    assert not [one for one in desk.book.traded("EURUSD") if one.order["volume_initial"] == 0.77]


def test_a_trade_for_an_account_that_nobody_serves_is_never_dropped(desk: Desk) -> None:
    told = desk.confirmed(approval("EURUSD", 78_000.0), routing_key="approved.nobody.EURUSD")

    assert told.outcome == ("rejected", "unknown_account")
    letter = desk.dead_letter(told["execution_id"])
    assert letter["reason"] == "unknown_account"
    assert "nobody" in letter["detail"]
    assert not [one for one in desk.book.traded("EURUSD") if one.order["volume_initial"] == 0.78]


def test_huge_messages_do_not_pile_up_in_memory(desk: Desk) -> None:
    # Given a worker that has seen a few
    body = b"x" * (5 * MEGABYTE)
    for number in range(3):
        desk.confirmed(body, correlation_id=f"huge-first-{number}-{uuid.uuid4()}")
    before = desk.worker.resident_bytes

    run = [desk.publish(body, correlation_id=f"huge-{number}-{uuid.uuid4()}") for number in range(40)]

    for sent in run:
        assert desk.confirmation(sent, timeout=60).outcome == ("rejected", "message_too_large")
    assert desk.worker.peak_bytes < 500 * MEGABYTE
    eventually(
        lambda: desk.worker.resident_bytes - before < 100 * MEGABYTE,
        f"of the memory for {len(run)} huge messages more than 100 MB is still held",
    )
    assert desk.confirmed(approval("AUDUSD", 1_000.0)).outcome == ("filled", None)
