"""An operator watches, halts, investigates and replays from the command line while the worker runs."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.acceptance.oracle import CONTRACT_SIZE, exactly
from tests.fixtures.rpm import Sent, approval, changed
from tests.fixtures.subscriber import Confirmation
from tests.fixtures.worker_process import Finished

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

DEAD_LETTER_FIELDS = {"id", "reason", "detail", "state", "account", "trade_id", "execution_id", "failed_at"}
EXECUTION_FIELDS = {"execution_id", "trade_id", "account", "symbol", "status", "version"}


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(MAX_RETRIES="2", DRAIN_TIMEOUT_SECONDS="3") as desk:
        yield desk


@pytest.fixture(scope="module")
def filled(desk: Desk) -> Confirmation:
    """Have one trade filled."""
    return desk.confirmed(approval("EURUSD", 10_000.0))


@pytest.fixture(scope="module")
def failed(desk: Desk) -> Sent:
    """Have a trade whose sends (two are allowed) are all requoted."""
    sent = desk.publish(approval("EURUSD.requote", 10_000.0))
    desk.confirmation(sent)
    return sent


@pytest.fixture(scope="module")
def letter(desk: Desk, failed: Sent) -> dict[str, Any]:
    """Find its dead letter."""
    return desk.dead_letter(desk.confirmation(failed)["execution_id"])


def _done(finished: Finished) -> Finished:
    assert finished.code == 0, finished.said
    assert "Traceback" not in finished.said
    return finished


def _refused(finished: Finished, *words: str) -> None:
    assert finished.code == 1, finished.said
    assert "Traceback" not in finished.said
    assert all(word in finished.err for word in words), finished.err


class TestHalt:
    """Nothing new is sent until someone resumes."""

    @pytest.fixture
    def halted(self, desk: Desk) -> Iterator[Desk]:
        _done(desk.command("halt", "--reason", "the feed looks odd", "--by", "alice", "--yes"))
        yield desk
        _done(desk.command("resume", "--reason", "the feed is fine", "--by", "bob", "--yes"))
        assert desk.confirmed(approval("EURUSD", 1_000.0)).outcome == ("filled", None)

    def test_new_trades_are_rejected_with_the_operators_words(self, halted: Desk) -> None:
        confirmed = halted.confirmed(approval("EURUSD", 88_000.0))

        assert confirmed.outcome == ("rejected", "trading_halted")
        assert "the feed looks odd" in confirmed["rejection_details"]
        assert not [one for one in halted.book.traded("EURUSD") if one.order["volume_initial"] == 0.88]

    def test_the_status_says_so(self, halted: Desk) -> None:
        assert "the feed looks odd" in _done(halted.command("status")).out
        assert "the feed looks odd" in _done(halted.command("status", "--json")).out

    def test_it_outlives_the_worker(self, halted: Desk) -> None:
        assert halted.worker.stop() == 0
        halted.start()

        assert halted.confirmed(approval("EURUSD", 1_000.0)).outcome == ("rejected", "trading_halted")

    def test_a_halt_needs_a_reason(self, desk: Desk) -> None:
        done = desk.command("halt")

        assert done.code == 2
        assert "reason" in done.err


class TestExecutions:
    """What became of a trade."""

    def test_the_list_shows_every_trade(self, desk: Desk, filled: Confirmation) -> None:
        row = next(one for one in desk.listing("executions", "list") if one["execution_id"] == filled["execution_id"])

        assert row.keys() >= EXECUTION_FIELDS
        assert {name: row[name] for name in EXECUTION_FIELDS} == {name: filled[name] for name in EXECUTION_FIELDS}

    def test_a_person_can_read_the_list(self, desk: Desk) -> None:
        filled = desk.confirmed(approval("EURUSD", 10_000.0))
        out = _done(desk.command("executions", "list")).out

        assert "EURUSD" in out
        assert "filled" in out
        assert filled["execution_id"][:8] in out, out

    def test_one_is_shown_with_its_whole_timeline(self, desk: Desk, filled: Confirmation) -> None:
        out = _done(desk.command("executions", "show", filled["execution_id"])).out

        assert filled["order_id"] in out
        assert "filled" in out
        shown = json.loads(_done(desk.command("executions", "show", filled["execution_id"], "--json")).out)
        assert filled["order_id"] in json.dumps(shown)

    @pytest.mark.parametrize("name", [str(uuid.UUID(int=0)), "no-such-execution"])
    def test_an_unknown_one_is_not_found(self, desk: Desk, name: str) -> None:
        _refused(desk.command("executions", "show", name), name)


class TestDeadLetters:
    """What needs a person: found, read, and given another chance."""

    def test_sends_that_are_exhausted_end_in_error_and_a_dead_letter(
        self, desk: Desk, failed: Sent, letter: dict[str, Any]
    ) -> None:
        told = desk.downstream.all_of(failed.correlation)[0]

        assert told.outcome == ("error", "network_error")
        assert (told["version"], told["final"], told["attempts"], told["executed_units"]) == (1, True, 2, 0)
        assert told.routing_key == "confirmation.error.main.EURUSD.requote"
        assert letter.keys() >= DEAD_LETTER_FIELDS
        assert (letter["reason"], letter["account"], letter["trade_id"]) == ("network_error", "main", failed.order_id)

    def test_one_is_shown_with_its_message(self, desk: Desk, failed: Sent, letter: dict[str, Any]) -> None:
        assert str(failed.order_id) in _done(desk.command("dlq", "show", letter["id"])).out
        shown = json.loads(_done(desk.command("dlq", "show", letter["id"], "--json")).out)
        assert str(failed.order_id) in json.dumps(shown)

    def test_a_person_can_read_the_list(self, desk: Desk, letter: dict[str, Any]) -> None:
        out = _done(desk.command("dlq", "list")).out

        assert letter["id"][:8] in out
        assert "network_error" in out

    def test_an_unknown_one_is_not_found(self, desk: Desk) -> None:
        name = str(uuid.UUID(int=0))

        _refused(desk.command("dlq", "show", name), name)
        _refused(desk.command("dlq", "replay", name, "--reason", "why not", "--yes"), name)

    def test_a_replay_needs_a_reason(self, desk: Desk, letter: dict[str, Any]) -> None:
        assert desk.command("dlq", "replay", letter["id"]).code == 2

    def test_a_replay_reopens_the_same_execution(self, desk: Desk) -> None:
        # Given a trade that ended in error, proved not executed
        sent = desk.publish(approval("USDJPY.requote", 10_000.0))
        first = desk.confirmation(sent)
        letter = desk.dead_letter(first["execution_id"])
        assert first.outcome == ("error", "network_error")

        # When an operator replays it
        _done(desk.command("dlq", "replay", letter["id"], "--reason", "prices are back", "--by", "alice", "--yes"))

        # Then its third send is filled, and told as the next version of the same execution
        second = desk.confirmation(sent, version=2)
        assert second.outcome == ("filled", None)
        assert (second["version"], second["attempts"]) == (2, 3)
        assert second["execution_id"] == first["execution_id"]
        assert len([one for one in desk.book.traded("USDJPY.requote") if one.deals]) == 1
        rows = [one for one in desk.listing("executions", "list") if one["trade_id"] == sent.order_id]
        assert [(one["status"], one["version"]) for one in rows] == [("filled", 2)]
        # And the broker has nothing more to do when it is replayed once more
        again = desk.command("dlq", "replay", letter["id"], "--reason", "once more", "--yes")
        assert again.code in {0, 1}
        assert desk.confirmed(approval("USDJPY", 1_000.0)).outcome == ("filled", None)
        assert len([one for one in desk.book.traded("USDJPY.requote") if one.deals]) == 1

    def test_a_stale_approval_is_refused_and_stays_replayable(self, desk: Desk) -> None:
        # Given a trade in error whose approval was old already, and is over its age now
        sent = desk.publish(approval("GBPUSD.requote", 10_000.0, age=55))
        first = desk.confirmation(sent)
        assert first.outcome == ("error", "network_error")
        letter = desk.dead_letter(first["execution_id"])
        approved_at = datetime.fromisoformat(sent.approved["timestamp"]).replace(tzinfo=UTC)
        time.sleep(max(0.0, (approved_at + timedelta(seconds=60.2) - datetime.now(UTC)).total_seconds()))

        _refused(desk.command("dlq", "replay", letter["id"], "--reason", "too late", "--yes"), "--allow-stale")

        assert desk.dead_letter(first["execution_id"])["state"] == letter["state"]
        _done(desk.command("dlq", "replay", letter["id"], "--reason", "RPM agrees", "--allow-stale", "--yes"))
        assert desk.confirmation(sent, version=2).outcome == ("filled", None)

    def test_a_message_that_was_never_a_trade_is_refused_the_same_way_again(self, desk: Desk) -> None:
        broken = changed(approval("EURUSD"), "decision.approved_trade.direction", 7)
        sent = desk.publish(broken, correlation_id=f"c-{uuid.uuid4()}")
        letter = desk.dead_letter(desk.confirmation(sent)["execution_id"])

        _done(desk.command("dlq", "replay", letter["id"], "--reason", "perhaps it was us", "--yes"))

        again = desk.confirmation(sent, times=2)
        assert again.outcome == ("rejected", "schema_invalid")
        # And its next dead letter counts on and remembers the first failure, while the first one is closed
        second = desk.dead_letter(again["execution_id"])
        headers = json.loads(_done(desk.command("dlq", "show", second["id"], "--json")).out)["headers"]
        assert headers["failure-attempt"] == "2"
        assert headers["first-failed-at"] < headers["failed-at"]
        states = {one["id"]: one["state"] for one in desk.listing("dlq", "list")}
        assert (states[letter["id"]], states[second["id"]]) == ("failed_again", "new")


class TestConfirmations:
    """They can be listened to, and what a subscriber has missed it can have again."""

    def test_an_operator_listens_in(self, desk: Desk) -> None:
        with ThreadPoolExecutor(1) as listening:
            arguments = ("confirmations", "--follow", "--json", "--count", "2", "--timeout", "30")
            listener = listening.submit(desk.command, *arguments)
            published = []
            while not listener.done():
                published.append(desk.confirmed(approval("EURUSD", 1_000.0))["execution_id"])

        lines = [json.loads(line) for line in _done(listener.result()).out.splitlines()]
        assert len(lines) == 2
        assert {line["execution_id"] for line in lines} <= set(published)

    def test_republishing_sends_the_same_bytes_again(self, desk: Desk, filled: Confirmation) -> None:
        soon = datetime.now(UTC) + timedelta(minutes=1)
        long_ago = soon - timedelta(hours=1)
        times = len(desk.downstream.all_of(filled.correlation_id))

        window = ("--from", long_ago.isoformat(), "--to", soon.isoformat())
        _done(desk.command("confirmations", "republish", *window, "--yes"))

        again = desk.downstream.wait_for(filled.correlation_id, times=times + 1)
        assert again.body == filled.body
        assert (again.routing_key, again.properties.message_id) == (
            filled.routing_key,
            filled.properties.message_id,
        )

    def test_a_window_without_any_sends_nothing(self, desk: Desk, filled: Confirmation) -> None:
        times = len(desk.downstream.all_of(filled.correlation_id))

        window = ("--from", "2001-01-01T00:00:00Z", "--to", "2001-01-02T00:00:00Z")
        _done(desk.command("confirmations", "republish", *window, "--yes"))

        desk.confirmed(approval("EURUSD", 1_000.0))
        assert len(desk.downstream.all_of(filled.correlation_id)) == times


class TestPublish:
    """A file becomes a message, as RPM would send it."""

    def test_from_a_file(self, desk: Desk) -> None:
        message = approval("EURUSD", 3_000.0)
        file = desk.folder / f"{uuid.uuid4()}.json"
        file.write_text(json.dumps(message))

        _done(desk.command("publish", str(file)))

        confirmed = desk.downstream.wait_for(message["decision"]["order_id"])
        assert confirmed.outcome == ("filled", None)

    def test_from_standard_input_without_a_message_id(self, desk: Desk) -> None:
        message = changed(approval("GBPUSD", 3_000.0, order_id=None), "config_hash", uuid.uuid4().hex)

        _done(desk.command("publish", "-", given=json.dumps(message)))

        confirmed = desk.downstream.wait_for_any(
            lambda one: (one["symbol"], one["intended_units"]) == ("GBPUSD", 3_000)
        )
        assert confirmed["trade_id"].startswith("sha256:")
        assert confirmed.outcome == ("filled", None)

    def test_a_file_that_is_not_there(self, desk: Desk) -> None:
        done = desk.command("publish", "no-such-file.json")

        assert done.code in {1, 2}
        assert "no-such-file.json" in done.err
        assert "Traceback" not in done.said


def test_instruments_are_told_in_units(desk: Desk) -> None:
    listed = {one["symbol"]: one for one in desk.listing("instruments")}

    for symbol, size in CONTRACT_SIZE.items():
        assert listed[symbol]["contract_size"] == exactly(size)
        sizes = {name: value for name, value in listed[symbol].items() if "units" in name}
        assert exactly(0.01 * size if symbol not in {"US500", "ETHUSD"} else 0.1) in sizes.values()
    assert "EURUSD" in _done(desk.command("instruments")).out


def test_the_status_is_one_json_value(desk: Desk, filled: Confirmation) -> None:
    done = _done(desk.command("status", "--json"))

    assert isinstance(done.json, list | dict)
    assert filled["account"] in done.out


def test_the_doctor_finds_nothing_wrong(desk: Desk) -> None:
    # What a worker tells of its terminal is a second old: right after its start, that it has none yet
    eventually(lambda: desk.command("doctor").code == 0, "the doctor finds something wrong")
    done = _done(desk.command("doctor"))

    assert all(word in done.said for word in ("RabbitMQ", "PostgreSQL"))
    assert json.loads(_done(desk.command("doctor", "--json")).out)


def test_no_password_is_ever_shown(desk: Desk, filled: Confirmation) -> None:
    outputs = [desk.command(*words).said for words in (("doctor",), ("doctor", "--json"), ("status", "--json"))]
    outputs += [desk.worker.log, filled.body.decode()]

    for name in ("AMQP_URL", "POSTGRES_URL"):
        password = urlsplit(desk.settings[name]).password
        assert password
        assert not [output for output in outputs if password in output]


def test_the_database_and_the_topology_are_as_they_must_be(desk: Desk) -> None:
    _done(desk.command("db", "check"))
    _done(desk.command("topology", "check"))
    _done(desk.command("db", "migrate"))
    _done(desk.command("topology", "declare"))


def test_a_missing_object_is_named_by_the_topology_check(desk: Desk) -> None:
    desk.rpm.do(lambda channel: channel.queue_delete("executions.unrouted"))

    _refused(desk.command("topology", "check"), "executions.unrouted")

    _done(desk.command("topology", "declare"))
    _done(desk.command("topology", "check"))
