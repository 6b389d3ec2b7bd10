"""An operator looks at trades and dead letters, halts, publishes and sends again."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.rpm import RPM
from tests.integration.cli.conftest import Desk, Done

pytestmark = pytest.mark.services

QUEUE = "trades.approved.main"
WINDOW = ("--from", "2001-01-01", "--to", "2101-01-01")


class TestExecutions:
    def test_the_newest_comes_first(self, desk: Desk) -> None:
        listed = desk.say("executions", "list", "--json").json

        assert [(one["trade_id"], one["status"], one["version"]) for one in listed] == [
            ("RPM-2", "error", 1),
            ("RPM-1", "filled", 1),
        ]

    def test_by_status_and_symbol(self, desk: Desk) -> None:
        assert [one["trade_id"] for one in desk.say("executions", "list", "--status", "filled", "--json").json] == [
            "RPM-1"
        ]
        assert desk.say("executions", "list", "--symbol", "USDJPY", "--json").json == []
        assert desk.say("executions", "list", "--status", "happy").code == 2
        assert desk.say("executions", "list", "--since", "3 moons").code == 2

    def test_by_age_text_and_ticket(self, desk: Desk) -> None:
        def listed(*how: str) -> list[str]:
            return [one["trade_id"] for one in desk.say("executions", "list", "--json", *how).json]

        assert listed("--since", "15m", "--state", "filled", "--state", "error") == ["RPM-2", "RPM-1"]
        assert listed("--until", "15m") == []
        assert listed("--text", "rpm-") == ["RPM-2", "RPM-1"]
        assert listed("--deal", "9001") == ["RPM-1"]
        assert listed("--open") == []

    def test_a_page_says_where_the_next_one_begins(self, desk: Desk) -> None:
        first = desk.say("executions", "list", "--limit", "1", "--json")

        after = first.json[0]["execution_id"]
        assert f"--after {after}" in first.err
        rest = desk.say("executions", "list", "--limit", "1", "--after", after, "--json")
        assert ([one["trade_id"] for one in rest.json], rest.err) == (["RPM-1"], "")

    def test_a_person_sees_ids_that_can_be_copied(self, desk: Desk) -> None:
        name = desk.say("executions", "list", "--json").json[0]["execution_id"]

        assert name in desk.say("executions", "list").out

    def test_one_is_shown_whole(self, desk: Desk) -> None:
        shown = desk.say("executions", "show", "RPM-1", "--json").json

        assert shown["status"] == "filled"
        assert next(event["kind"] for event in shown["events"]) == "received"
        assert shown["deals"][0]["deal_id"] == "9001"
        assert "Timeline" in desk.say("executions", "show", "RPM-1").out


class TestDeadLetters:
    @pytest.fixture
    def letters(self, desk: Desk) -> dict[str, dict[str, Any]]:
        return {one["reason"]: one for one in desk.say("dlq", "list", "--json").json}

    def test_they_are_listed(self, desk: Desk, letters: dict[str, dict[str, Any]]) -> None:
        assert letters.keys() == {"network_error", "malformed_json"}
        assert letters["malformed_json"]["id"] in desk.say("dlq", "list").out
        assert [one["reason"] for one in desk.say("dlq", "list", "--reason", "network_error", "--json").json] == [
            "network_error"
        ]
        assert "no dead letter fits" in desk.say("dlq", "list", "--state", "discarded").out

    def test_one_is_shown_with_its_message(self, desk: Desk, letters: dict[str, dict[str, Any]]) -> None:
        name = letters["malformed_json"]["id"]

        assert desk.say("dlq", "show", name, "--json").json["message"]["body"] == "{"
        assert "malformed_json" in desk.say("dlq", "show", name).out

    @pytest.mark.parametrize("name", [str(uuid.UUID(int=0)), "nonsense"])
    @pytest.mark.parametrize("command", [("show",), ("replay", "--reason", "why not")])
    def test_an_unknown_one_is_not_found(self, desk: Desk, command: tuple[str, ...], name: str) -> None:
        done = desk.say("dlq", command[0], name, *command[1:])

        assert done.code == 1
        assert name in done.err

    def test_a_replay_is_on_its_way_until_a_worker_takes_it(
        self, desk: Desk, letters: dict[str, dict[str, Any]]
    ) -> None:
        name = letters["malformed_json"]["id"]

        done = desk.say("dlq", "replay", name, "--reason", "it was us", "--by", "alice@desk")

        assert done.code == 0
        shown = desk.say("dlq", "show", name, "--json").json
        assert (shown["state"], shown["state_by"], shown["state_reason"]) == ("replaying", "alice@desk", "it was us")
        again = desk.say("dlq", "replay", name, "--reason", "once more")
        assert again.code == 1
        assert "replaying" in again.err


class TestHalt:
    @pytest.mark.parametrize(
        ("name", "doubt"), [("EURUSD", ""), ("eurusd", "did you mean EURUSD?"), ("EURXXX", "is of EURXXX")]
    )
    def test_a_symbol_that_nobody_trades_may_be_misspelt(self, desk: Desk, name: str, doubt: str) -> None:
        halted = desk.say("halt", "--symbol", name, "--reason", "odd fills")

        assert halted.code == 0
        assert doubt in halted.err
        assert bool(halted.err) == bool(doubt)
        assert desk.say("resume", "--symbol", name, "--reason", "explained").code == 0

    def test_a_halt_is_seen_until_it_is_lifted(self, desk: Desk) -> None:
        assert desk.say("halt", "--reason", "odd fills", "--by", "alice").code == 0
        assert "halted by alice: odd fills" in desk.say("status").out

        assert "trades again" in desk.say("resume", "--reason", "explained").out
        assert "was not halted" in desk.say("resume", "--reason", "explained").out
        assert desk.say("status", "--json").json[0]["halt"] is None


class TestStatus:
    def test_it_counts_what_there_is(self, desk: Desk) -> None:
        [account] = desk.say("status", "--json").json

        assert account["executions_by_state"] == {"error": 1, "filled": 1}
        shared = {"trades.dead", "trades.unroutable", "trades.parked", "executions.unrouted"}
        assert {queue["name"] for queue in account["queues"]} == {QUEUE} | shared
        assert "no worker leads account main" in account["needs_you"][0]["what"]

    def test_of_one_account_alone(self, desk: Desk) -> None:
        assert [one["account"] for one in desk.say("status", "--account", "main", "--json").json] == ["main"]
        unknown = desk.say("status", "--account", "other")
        assert (unknown.code, unknown.out) == (1, "")
        assert "no account other" in unknown.err

    def test_it_does_not_need_rabbitmq(self, desk: Desk) -> None:
        done = desk.say("status", AMQP_URL="amqp://me:secret@127.0.0.1:9/x")

        assert done.code == 0
        assert "RabbitMQ does not answer" in done.out


class TestPublish:
    def test_the_bytes_are_the_message(self, desk: Desk) -> None:
        body = b' {"decision": {"approved_trade": {"symbol": "EURUSD"}}}\n'
        file = Path(desk.folder) / "trade.json"
        file.write_bytes(body)

        done = desk.say("publish", str(file), "--reply-to", "answers", "--correlation-id", "c-1")

        assert done.code == 0
        method, properties, received = _next(desk)
        assert received == body
        assert method.routing_key == "approved.main.EURUSD"
        assert (properties.message_id, properties.reply_to, properties.correlation_id) == (None, "answers", "c-1")
        assert properties.content_type == "application/json"

    def test_the_routing_key_can_be_chosen(self, desk: Desk) -> None:
        assert desk.say("publish", "-", "--symbol", "GBPUSD.x", given="not JSON").code == 0

        method, _, received = _next(desk)
        assert (method.routing_key, received) == ("approved.main.GBPUSD.x", b"not JSON")

    def test_a_file_that_is_not_there_is_wrong_usage(self, desk: Desk) -> None:
        done = desk.say("publish", "nowhere.json")

        assert done.code == 2
        assert "nowhere.json" in done.err


class TestConfirmations:
    def test_they_are_shown_as_they_come(self, desk: Desk) -> None:
        heard: list[Done] = []
        listener = threading.Thread(
            target=lambda: heard.append(desk.say("confirmations", "--json", "--count", "1", "--timeout", "30"))
        )
        rpm = RPM(desk.settings["AMQP_URL"])
        listener.start()
        while listener.is_alive():  # this thread cannot read what it says until it ends
            rpm.publish(b'{"status": "filled"}', exchange="executions", routing_key="confirmation.filled.main.EURUSD")
            listener.join(0.1)
        rpm.close()

        assert heard[0].code == 0
        assert heard[0].json == {"status": "filled"}
        assert heard[0].err == "listening; what is published from now on is shown\n"

    def test_too_few_in_time_is_a_failure(self, desk: Desk) -> None:
        done = desk.say("confirmations", "--count", "1", "--timeout", "0.3")

        assert done.code == 1
        assert "0 of 1" in done.err

    def test_time_alone_is_no_failure(self, desk: Desk) -> None:
        done = desk.say("confirmations", "--timeout", "0.3")

        assert (done.code, done.out) == (0, "")

    def test_republishing_asks_first(self, desk: Desk) -> None:
        waiting = desk.say("status", "--json").json[0]["outbox_size"]

        refused = desk.say("confirmations", "republish", *WINDOW, given="n\n")

        assert refused.code == 1
        assert "2 confirmations of account main" in refused.err
        assert desk.say("status", "--json").json[0]["outbox_size"] == waiting

        assert "2 confirmations are queued" in desk.say("confirmations", "republish", *WINDOW, given="y\n").out
        assert desk.say("status", "--json").json[0]["outbox_size"] == waiting + 2

    def test_a_window_without_any_needs_no_answer(self, desk: Desk) -> None:
        done = desk.say("confirmations", "republish", "--from", "2001-01-01", "--to", "2001-01-02")

        assert done.code == 0
        assert "nothing to do" in done.out

    def test_a_window_has_two_ends(self, desk: Desk) -> None:
        assert desk.say("confirmations", "republish", "--from", "2001-01-01").code == 2
        assert desk.say("confirmations", "republish", "--from", "soon", "--to", "2001-01-02").code == 2


class TestInstruments:
    def test_sizes_are_in_units(self, desk: Desk) -> None:
        listed = {one["symbol"]: one for one in desk.say("instruments", "EURUSD", "XAUUSD", "--json").json}

        assert {name: one["step_units"] for name, one in listed.items()} == {"EURUSD": 1000, "XAUUSD": 1}
        assert listed["EURUSD"]["maximum_units"] == 10_000_000

    def test_rpms_names_are_used(self, desk: Desk) -> None:
        [listed] = desk.say("instruments", "GOLD", "--json", SYMBOL_MAP='{"GOLD": "XAUUSD"}').json

        assert (listed["symbol"], listed["broker_symbol"]) == ("GOLD", "XAUUSD")

    def test_an_unknown_symbol_is_not_found(self, desk: Desk) -> None:
        done = desk.say("instruments", "EURXYZ")

        assert done.code == 1
        assert "EURXYZ" in done.err


def _next(desk: Desk) -> tuple[Any, Any, bytes]:
    """Take a message as the worker would: a queue with a single active consumer has no other door."""
    rpm = RPM(desk.settings["AMQP_URL"])
    try:
        return rpm.do(lambda channel: next(channel.consume(QUEUE, auto_ack=True)))  # type: ignore[no-any-return]
    finally:
        rpm.close()
