"""The dead-letter desk from the operator's seat: found, grouped, shown, put away, taken out, exported and imported."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rich.cells import cell_len

from ops.services import Services
from tests.fixtures.services import new_ledger
from tests.integration.cli.conftest import Desk, Done, desk_settings
from tests.integration.ledger.stories import (
    RealClock,
    a_letter,
    a_message,
    a_refusal,
    a_trade,
    accepted,
    an_arrival,
    filled,
    unknown,
    unresolved,
    written_ahead,
)
from worker.domain.execution import Execution
from worker.domain.message import IncomingMessage
from worker.ledger.ledger import PostgresLedger
from worker.ledger.schema import migrate
from worker.messaging.connection import connected
from worker.messaging.declaration import declare
from worker.messaging.parking import parked
from worker.messaging.publisher import Publisher
from worker.messaging.topology import topology
from worker.ports import DeadLetter

pytestmark = pytest.mark.services

HOSTILE = "\x1b[31m[bold red]gotcha[/] \x00\u202e 漢字漢字漢字漢字漢字漢字 " + "x" * 300
NOW = datetime.now(UTC)


def _ago(minutes: int) -> str:
    return (NOW - timedelta(minutes=minutes)).isoformat()


def a_letter_of(reason: str, minutes: int, **more: Any) -> DeadLetter:
    """Return a letter that failed so many minutes ago."""
    return replace(a_letter(), reason=reason, failed_at=NOW - timedelta(minutes=minutes), **more)


def a_body(symbol: str) -> IncomingMessage:
    body = json.dumps({"decision": {"approved_trade": {"symbol": symbol}}}).encode()
    return a_message(body=body, routing_key="approved.main.XAUUSD")


_MORE: list[dict[str, Any]] = [{"message": a_body("GBPUSD")}, {"message": a_body("EURUSD"), "trade_id": "RPM-77"}]
SCHEMA = [
    a_letter_of("schema_invalid", 60 + number, detail=f"approved_trade.direction: {number} is no 1 or -1", **more)
    for number, more in enumerate(_MORE)
]
MALFORMED = a_letter_of(
    "malformed_json",
    5,
    detail=HOSTILE,
    trade_id=HOSTILE,
    account="side",
    message=a_message(body=b"{\xff\x00Needle", message_id="m-1", routing_key="approved.side.US500.cash"),
    headers={"failure-exception": "JSONDecodeError", "[red]name": HOSTILE, "nested": {"a": [1, None, True]}},
)
LETTERS = [*SCHEMA, MALFORMED]


@pytest.fixture
def full(desk_of_letters: Desk) -> Desk:
    return desk_of_letters


@pytest.fixture(scope="module")
def desk_of_letters(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Sit down before a ledger with five dead letters: three without a trade, one filled and one unresolved."""
    name = f"dlq_{secrets.token_hex(5)}"
    amqp_url, postgres_url = services.new_vhost(name), new_ledger(services, name)
    asyncio.run(_fill(amqp_url, postgres_url))
    yield Desk(desk_settings(amqp_url, postgres_url), str(tmp_path_factory.mktemp("desk")))
    services.delete_vhost(name)
    services.drop_database(name)


@pytest.fixture
def elsewhere(services: Services, full: Desk) -> Iterator[Desk]:
    """Sit down before the empty ledger of another installation."""
    name = f"dlq_{secrets.token_hex(5)}"
    postgres_url = new_ledger(services, name)
    asyncio.run(_open(postgres_url))
    yield Desk({**full.settings, "POSTGRES_URL": postgres_url}, full.folder)
    services.drop_database(name)


async def _open(postgres_url: str) -> None:
    await migrate(postgres_url)
    ledger = await PostgresLedger.open(postgres_url, account="main", worker_id="desk:1", clock=RealClock())
    try:
        await ledger.lead()
    finally:
        await ledger.close()


async def _fill(amqp_url: str, postgres_url: str) -> None:
    async with connected(amqp_url, "test") as connection:
        assert await declare(connection, topology(["main"])) == []
        hidden = parked(a_letter().letter_id, "trades.dead", a_message(), "too deep")
        await Publisher(connection).publish([hidden, replace(hidden, message_id="2")])
    await migrate(postgres_url)
    ledger = await PostgresLedger.open(postgres_url, account="main", worker_id="desk:1", clock=RealClock())
    try:
        await ledger.lead()
        for letter in LETTERS:
            await ledger.take_in(letter, replace(a_refusal(letter.message), trade_id=letter.trade_id))
        at_broker = await ledger.record(accepted(await _sent(ledger, "RPM-1")))
        await _letter_of(ledger, await ledger.record(filled(at_broker, 9001)), "network_error", 30)
        in_doubt = await ledger.record(unknown(await _sent(ledger, "RPM-2")))
        await _letter_of(ledger, await ledger.record(unresolved(in_doubt)), "outcome_unknown", 20)
    finally:
        await ledger.close()


async def _sent(ledger: PostgresLedger, order_id: str) -> Execution:
    return await ledger.record(written_ahead((await ledger.admit(an_arrival(a_trade(order_id)))).execution))


async def _letter_of(ledger: PostgresLedger, execution: Execution, reason: str, minutes: int) -> None:
    name = execution.trade.identity.trade_id
    letter = a_letter_of(reason, minutes, trade_id=name, execution_id=execution.execution_id)
    await ledger.take_in(letter, None)


def _reasons(done: Done) -> list[str]:
    assert done.code == 0, done.err
    return [one["reason"] for one in done.json]


class TestList:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ((), ["malformed_json", "outcome_unknown", "network_error", "schema_invalid", "schema_invalid"]),
            (("--reason", "malformed_json", "--reason", "network_error"), ["malformed_json", "network_error"]),
            (("--account", "side"), ["malformed_json"]),
            (("--symbol", "GBPUSD"), ["schema_invalid"]),
            (("--symbol", "US500.cash"), ["malformed_json"]),
            (("--state", "discarded", "--state", "resolved"), []),
            (("--since", _ago(25), "--until", _ago(10)), ["outcome_unknown"]),
            (("--until", "2001-01-01"), []),
            (("--text", "NEEDLE"), ["malformed_json"]),
            (("--text", "rpm-77"), ["schema_invalid"]),
            (("--text", "jsondecodeerror"), ["malformed_json"]),
            (("--text", "%"), []),
            (("--reason", "schema_invalid", "--limit", "1"), ["schema_invalid"]),
        ],
    )
    def test_letters_are_found_by_what_is_known_of_them(
        self, full: Desk, options: tuple[str, ...], expected: list[str]
    ) -> None:
        assert _reasons(full.say("dlq", "list", "--json", *options)) == expected

    @pytest.mark.parametrize(
        ("option", "value", "named"),
        [
            ("--reason", "bad_luck", "schema_invalid"),
            ("--state", "lost", "failed_again"),
            ("--since", "soon", "15m"),
            ("--group", "x", "dlq groups"),
        ],
    )
    def test_a_wrong_value_is_wrong_usage_with_the_choices(
        self, full: Desk, option: str, value: str, named: str
    ) -> None:
        done = full.say("dlq", "list", option, value)

        assert done.code == 2
        assert named in done.err

    @pytest.mark.parametrize("command", ["list", "groups"])
    def test_an_empty_listing_is_json_too(self, full: Desk, command: str) -> None:
        assert full.say("dlq", command, "--symbol", "NONE", "--json").out == "[]\n"
        assert (
            full.say("dlq", command, "--symbol", "NONE").out
            == "no dead letter fits; names are compared letter for letter\n"
        )

    def test_what_was_written_by_others_fits_and_cannot_take_over_the_terminal(self, full: Desk) -> None:
        letter_id = str(MALFORMED.letter_id)
        for command in (("list",), ("groups",), ("show", letter_id)):
            out = full.say("dlq", *command).out

            assert "\x1b" not in out
            assert "\x00" not in out
            assert "[bold" in out
            assert max(map(cell_len, out.splitlines())) <= 80, command
        assert letter_id in full.say("dlq", "list").out


class TestGroups:
    def test_letters_that_failed_in_the_same_way_are_one_group(self, full: Desk) -> None:
        groups = {one["reason"]: one for one in full.say("dlq", "groups", "--json").json}

        assert len(groups) == 4
        same = groups["schema_invalid"]
        assert (same["letters"], same["states"], same["newest"]) == (2, {"new": 2}, str(SCHEMA[0].letter_id))
        assert same["first_at"] < same["last_at"]
        assert same["example"] == SCHEMA[0].detail
        assert groups["malformed_json"]["exception"] == "JSONDecodeError"

    def test_a_group_is_a_filter(self, full: Desk) -> None:
        groups = {one["reason"]: one["fingerprint"] for one in full.say("dlq", "groups", "--json").json}

        found = full.say("dlq", "list", "--group", groups["schema_invalid"], "--json").json

        assert {one["id"] for one in found} == {str(letter.letter_id) for letter in SCHEMA}


class TestShow:
    @pytest.mark.parametrize(
        ("reason", "answer", "why", "units", "status"),
        [
            ("schema_invalid", "no", "it never became a trade, nothing was sent", 0, None),
            ("network_error", "yes", "order 7001, filled 1 lots", 100_000, "filled"),
            ("outcome_unknown", "unknown", "the outcome of the send at", 100_000, "unresolved"),
        ],
    )
    def test_it_says_first_whether_an_order_stands_at_the_broker(  # noqa: PLR0913, PLR0917 - one story
        self, full: Desk, reason: str, answer: str, why: str, units: int, status: str | None
    ) -> None:
        name = full.say("dlq", "list", "--reason", reason, "--json").json[0]["id"]

        shown = full.say("dlq", "show", name, "--json").json
        said = " ".join(full.say("dlq", "show", name).out.split())

        assert said.startswith(f"An order at the broker? {answer}: {why}")
        assert (shown["at_broker"]["answer"], shown["units_at_risk"]) == (answer, units)
        assert (shown["execution"] or {}).get("status") == status
        assert ("at risk nothing" in said) == (units == 0)
        assert [one["id"] for one in shown["failures"]] == [name]

    def test_what_the_sender_was_told_is_shown_also_without_a_trade(self, full: Desk) -> None:
        shown = full.say("dlq", "show", str(SCHEMA[0].letter_id), "--json").json

        assert [told["status"] for told in shown["confirmations"]] == ["rejected"]
        assert shown["execution"] is None

    def test_a_program_gets_the_body_byte_for_byte(self, full: Desk, tmp_path: Path) -> None:
        name, file = str(MALFORMED.letter_id), tmp_path / "body"

        assert full.say("dlq", "show", name, "--body", str(file)).code == 0
        assert file.read_bytes() == MALFORMED.message.body
        again = full.say("dlq", "show", name, "--body", str(file))
        assert (again.code, "nothing is replaced" in again.err) == (2, True)
        shown = full.say("dlq", "show", name, "--json").json
        assert base64.b64decode(shown["message"]["body_base64"]) == MALFORMED.message.body


class TestDiscard:
    def test_named_letters_are_put_away_and_taken_out_again_with_a_reason(self, full: Desk) -> None:
        names = [str(letter.letter_id) for letter in SCHEMA]

        done = full.say("dlq", "discard", *names, "--reason", "a test", "--by", "ann")
        assert (done.code, done.out) == (0, "2 dead letters discarded\n")
        put_away = full.say("dlq", "list", "--state", "discarded", "--json").json
        assert {(one["id"], one["state_by"], one["state_reason"]) for one in put_away} == {
            (name, "ann", "a test") for name in names
        }
        again = full.say("dlq", "discard", names[0], "--reason", "again")
        assert again.code == 1
        assert "is discarded by ann: only a new one, or one that has failed again, can be discarded" in again.err

        restored = full.say("dlq", "restore", "--failure", "schema_invalid", "--reason", "by mistake", "--yes")
        assert (restored.code, restored.out) == (0, "2 dead letters restored\n")
        assert _events(full, "letter_discarded") == 2
        assert _events(full, "letter_restored") == 2

    def test_a_filter_shows_its_plan_and_asks(self, full: Desk) -> None:
        refused = full.say("dlq", "discard", "--failure", "schema_invalid", "--reason", "x", given="n\n")
        assert refused.code == 1
        assert "2 dead letters will be discarded. Go on?" in refused.err
        assert "GBPUSD" in refused.out
        assert full.say("dlq", "list", "--state", "discarded", "--json").json == []

    @pytest.mark.parametrize(
        "wrong", [(), ("--failure", "malformed_json", "x"), ("--failure", "bad_luck"), ("--limit", "5")]
    )
    def test_letters_are_named_or_chosen_never_both_or_neither(self, full: Desk, wrong: tuple[str, ...]) -> None:
        assert full.say("dlq", "discard", *wrong, "--reason", "why").code == 2
        assert full.say("dlq", "restore", *wrong, "--reason", "why").code == 2

    def test_what_is_not_there_changes_nothing(self, full: Desk) -> None:
        missing = full.say("dlq", "discard", str(SCHEMA[0].letter_id), str(a_letter().letter_id), "--reason", "x")

        assert (missing.code, "there is no dead letter" in missing.err) == (1, True)
        assert full.say("dlq", "discard", "--symbol", "NONE", "--reason", "x").out == (
            "no dead letter fits: nothing to do\n"
        )
        assert full.say("dlq", "list", "--state", "discarded", "--json").json == []


class TestExchange:
    def test_what_is_exported_comes_in_whole_elsewhere_and_once(
        self, full: Desk, elsewhere: Desk, tmp_path: Path
    ) -> None:
        file = tmp_path / "letters.jsonl"
        assert full.say("dlq", "export", str(file)).code == 0

        first = elsewhere.say("dlq", "import", str(file), "--by", "ann", "--yes")
        second = elsewhere.say("dlq", "import", str(file), given="y\n")

        assert (first.code, first.out) == (0, "5 dead letters taken over, 0 here already\n")
        assert "0 new, 5 here already, 0 malformed" in second.err
        assert second.out.endswith("0 dead letters taken over, 5 here already\n")
        assert _events(elsewhere, "letter_imported") == 5
        theirs, ours = ({one["id"]: one for one in at.say("dlq", "list", "--json").json} for at in (full, elsewhere))
        changed = ("imported_by", "state", "state_by", "state_reason", "state_at")
        for name, letter in theirs.items():
            assert ours[name] | dict.fromkeys(changed) == letter | dict.fromkeys(changed)
        assert {one["imported_by"] for one in ours.values()} == {"ann"}
        shown = [at.say("dlq", "show", str(MALFORMED.letter_id), "--json").json for at in (full, elsewhere)]
        assert shown[0]["message"] == shown[1]["message"]
        assert shown[0]["headers"] == shown[1]["headers"]

    def test_what_may_stand_at_the_broker_of_another_ledger_is_not_tried_by_mistake(
        self, full: Desk, elsewhere: Desk
    ) -> None:
        exported = full.say("dlq", "export", "-", "--reason", "outcome_unknown").out

        assert elsewhere.say("dlq", "import", "-", "--yes", given=exported).code == 0

        [letter] = elsewhere.say("dlq", "list", "--json").json
        assert letter["state"] == "discarded"
        assert "its order may stand at the broker" in letter["state_reason"]
        shown = elsewhere.say("dlq", "show", letter["id"], "--json").json
        assert shown["at_broker"]["answer"] == "unknown"
        assert "ask the one that the letter was exported from" in shown["at_broker"]["why"]

    def test_a_malformed_line_is_named_and_the_rest_taken_only_when_agreed(self, full: Desk, elsewhere: Desk) -> None:
        good = full.say("dlq", "export", "-", "--reason", "schema_invalid").out
        lines = good + '{"format": 1}\n' + "[" * 100_000 + "\n\nnonsense\n"

        asked = elsewhere.say("dlq", "import", "-", given=lines)
        assert asked.code == 1
        assert "line 3: format" in asked.err
        assert "line 6: Invalid JSON" in asked.err
        assert elsewhere.say("dlq", "list", "--json").json == []

        agreed = elsewhere.say("dlq", "import", "-", "--yes", given=lines)
        assert (agreed.code, agreed.out) == (1, "2 dead letters taken over, 0 here already\n")
        assert "3 malformed lines were left out" in agreed.err

    def test_an_empty_export_is_an_empty_file(self, full: Desk) -> None:
        done = full.say("dlq", "export", "-", "--symbol", "NONE")

        assert (done.code, done.out) == (0, "")


class TestUnpark:
    def test_parked_letters_are_counted_asked_about_and_handed_to_the_worker_again(self, full: Desk) -> None:
        asked = full.say("dlq", "unpark", given="n\n")
        assert (asked.code, "2 dead letters will be handed to the worker again" in asked.err) == (1, True)

        assert full.say("dlq", "unpark", "--yes").out == "2 dead letters handed to the worker again\n"
        assert full.say("dlq", "unpark").out == "no dead letter is parked: nothing to do\n"


def _events(desk: Desk, kind: str) -> int:
    with psycopg.connect(desk.settings["POSTGRES_URL"]) as connection:
        [count] = connection.execute("select count(*) from ledger.audit_events where kind = %s", [kind]).fetchone() or [
            0
        ]
    return int(count)
