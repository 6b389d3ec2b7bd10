"""Trades of every kind, carried out by one worker: the story of each is told from its message to its last event."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from ops.services import Services
from tests.acceptance.desk import Desk as TradingDesk
from tests.acceptance.desk import eventually, open_desk
from tests.fixtures.rpm import Sent, approval
from tests.fixtures.services import new_ledger
from tests.integration.cli.conftest import Desk

pytestmark = pytest.mark.services

KINDS = {
    "filled": "EURUSD",
    "partial": "EURUSD.partial",
    "rejected": "EURUSD.wide",
    "expired": "GBPUSD.pending",
    "retried": "EURUSD.notsent",
    "unresolved": "EURUSD.nohistory",
    "replayed": "USDJPY.requote",
    "late": "GBPUSD.late",
}
PATIENCE = 60.0
WHY = ("--reason", "the broker's statement", "--by", "ann@desk")


@dataclass(frozen=True)
class Run:
    """What was published, and a command line to ask for it."""

    sent: dict[str, Sent]
    desk: Desk

    def name(self, kind: str) -> str:
        """Return the trade id of a kind."""
        return str(self.sent[kind].order_id)

    def story(self, kind: str) -> dict[str, Any]:
        """Return a trade's story as JSON."""
        told: dict[str, Any] = self.desk.say("executions", "show", self.name(kind), "--json").json
        return told

    def page(self, kind: str, *how: str) -> str:
        """Return a trade's story as a person reads it, in one line."""
        done = self.desk.say("executions", "show", self.name(kind), *how)
        assert done.code == 0, done.err
        assert max(map(len, done.out.splitlines())) <= 80
        return " ".join(done.out.split())


@pytest.fixture(scope="module")
def run(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Let one worker carry out a trade of every kind, an operator resolve one and replay another."""
    name, folder = f"stories_{secrets.token_hex(5)}", tmp_path_factory.mktemp("stories")
    amqp_url, postgres_url = services.new_vhost(name), new_ledger(services, name)
    impatient = {
        "MAX_RETRIES": "2",
        "ORDER_TIMEOUT_SECONDS": "1",
        "UNKNOWN_HORIZON_SECONDS": "1",
        "TERMINAL_CALL_TIMEOUT_SECONDS": "2",
    }
    try:
        with open_desk(amqp_url, postgres_url, folder, **impatient) as trading:
            desk = Desk({**trading.settings, "COLUMNS": "80"}, str(folder))
            sent = {kind: trading.publish(approval(symbol)) for kind, symbol in KINDS.items()}
            _see_to_it(trading, desk, sent)
            yield Run(sent, desk)
    finally:
        services.delete_vhost(name)
        services.drop_database(name)


def _see_to_it(trading: TradingDesk, desk: Desk, sent: dict[str, Sent]) -> None:
    """Replay what has failed, resolve what nobody knows, and wait for the end of all."""
    failed = trading.confirmation(sent["replayed"], timeout=PATIENCE)["execution_id"]
    letters: list[dict[str, Any]] = []

    def is_taken_in() -> bool:
        letters[:] = [one for one in desk.say("dlq", "list", "--json").json if one["execution_id"] == failed]
        return bool(letters)

    eventually(is_taken_in, "the dead letter is not taken in")
    replayed = desk.say("dlq", "replay", letters[0]["id"], *WHY, "--yes")
    assert replayed.code == 0, replayed.err
    unresolved = trading.confirmation(sent["unresolved"], timeout=PATIENCE)["execution_id"]
    resolved = desk.say("executions", "resolve", unresolved, "--not-executed", *WHY)
    assert resolved.code == 0, resolved.err
    for kind, version in {**dict.fromkeys(KINDS, 1), "unresolved": 2, "replayed": 2, "late": 2}.items():
        trading.confirmation(sent[kind], version=version, timeout=PATIENCE)
        eventually(partial(_is_marked, desk, sent[kind], version), "a confirmation is not marked as published")


def _is_marked(desk: Desk, sent: Sent, version: int) -> bool:
    """Tell whether the ledger knows that it was published: that is noted with a later commit."""
    told = desk.say("executions", "show", str(sent.order_id), "--json").json["confirmations"]
    return len(told) == version and all(one["published_at"] for one in told)


def _whats(story: dict[str, Any]) -> list[str]:
    return [line["what"] for line in story["timeline"]]


def _in_order(whats: list[str], *wanted: str) -> None:
    rest = iter(whats)
    missing = next((what for what in wanted if what not in rest), None)
    assert missing is None, (missing, whats)


@pytest.mark.parametrize("kind", KINDS)
def test_a_story_is_complete_in_the_order_of_time_and_valid_json(run: Run, kind: str) -> None:
    story = run.story(kind)

    times = [line["at"] for line in story["timeline"]]
    assert times == sorted(times)
    assert all(line["seconds_after"] >= 0 for line in story["timeline"][1:])
    assert {line["clock"] for line in story["timeline"] if line["what"].startswith("deal ")} <= {"broker"}
    assert [told["version"] for told in story["confirmations"]] == list(range(1, story["version"] + 1))
    assert all(told["published_at"] for told in story["confirmations"])
    assert story["message"]["routing_key"] == f"approved.main.{KINDS[kind]}"
    assert story["at_broker"]["answer"] == ("yes" if story["deals"] else "no")
    assert KINDS[kind] in run.page(kind)


def test_a_filled_trade(run: Run) -> None:
    story, page = run.story("filled"), run.page("filled")

    deal = story["deals"][0]["deal_id"]
    _in_order(
        _whats(story),
        "message received",
        "written down",
        "attempt 1 written ahead",
        "attempt 1 sent",
        "attempt 1 answered",
        "attempt 1 judged",
        "settled",
        "confirmation 1 made",
        "confirmation 1 published",
    )
    assert f"deal {deal}" in _whats(story)
    assert "FILLED" in page
    assert "to do nothing" in page


def test_the_broker_s_words_are_kept_word_for_word(run: Run) -> None:
    [attempt] = run.story("filled")["attempts"]

    assert attempt["request"]["symbol"] == "EURUSD"
    assert attempt["reply"]["retcode"] == attempt["retcode"]
    raw = run.page("filled", "--raw")
    assert f'"retcode": {attempt["retcode"]}' in raw
    assert "Attempt 1, request" in raw


def test_a_partly_filled_one_says_how_much(run: Run) -> None:
    assert "PARTIALLY_FILLED" in run.page("partial")
    assert "0.06 of 0.1 lots are executed" in run.page("partial")


def test_a_rejected_one_was_never_sent(run: Run) -> None:
    story = run.story("rejected")

    assert story["attempts"] == []
    assert "REJECTED, spread_too_wide" in run.page("rejected")
    _in_order(_whats(story), "message received", "written down", "settled", "confirmation 1 made")


def test_an_expired_one_tells_of_its_cancel(run: Run) -> None:
    story = run.story("expired")

    _in_order(_whats(story), "attempt 1 answered", "cancel decided", "cancel answered", "settled")
    assert "Cancel, request" in run.page("expired", "--raw")


def test_a_retried_one_tells_why_it_was_sent_again(run: Run) -> None:
    _in_order(
        _whats(run.story("retried")),
        "attempt 1 sent",
        "attempt 1 proved absent",
        "attempt 2 written ahead",
        "attempt 2 answered",
        "settled",
    )


def test_an_unresolved_one_tells_who_has_ended_it(run: Run) -> None:
    story = run.story("unresolved")

    _in_order(_whats(story), "alert", "confirmation 1 made", "resolved by hand", "confirmation 2 made")
    [resolved] = [line for line in story["timeline"] if line["what"] == "resolved by hand"]
    assert (resolved["who"], resolved["detail"]) == ("ann@desk", "not executed: the broker's statement")
    assert [line for line in story["timeline"] if line["what"] == "dead letter taken in"]


def test_a_replayed_one_goes_on_where_it_had_ended(run: Run) -> None:
    story = run.story("replayed")

    _in_order(
        _whats(story),
        "attempt 2 judged",
        "confirmation 1 made",
        "dead letter taken in",
        "replay ordered",
        "reopened",
        "attempt 3 sent",
        "confirmation 2 published",
    )
    assert story["status"] == "filled"
    assert story["replays"][0]["by"] == "ann@desk"


def test_a_late_deal_is_told_behind_the_end_it_came_after(run: Run) -> None:
    story = run.story("late")

    _in_order(_whats(story), "settled", "confirmation 1 made", "alert", "settled", "confirmation 2 made")
    assert (story["status"], story["version"]) == ("filled", 2)


def test_all_of_them_are_listed_and_counted(run: Run) -> None:
    listed = {one["trade_id"]: one for one in run.desk.say("executions", "list", "--json").json}

    assert listed.keys() == {run.name(kind) for kind in KINDS}
    assert listed[run.name("late")]["version"] == 2
    order = run.story("expired")["order_id"]
    assert [one["trade_id"] for one in run.desk.say("executions", "list", "--order", order, "--json").json] == [
        run.name("expired")
    ]
    table = run.desk.say("executions", "list").out
    assert max(map(len, table.splitlines())) <= 80
    [account] = run.desk.say("status", "--json").json
    assert account["is_led"]
    assert account["executions_by_state"]["filled"] >= 4
    assert json.dumps(account["worker_report"])


def test_the_screen_says_who_leads_and_what_needs_a_person(run: Run) -> None:
    done = run.desk.say("status")

    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "terminal main  ready" in done.out
    assert "standbys: 0" in done.out
    assert "needs you: dead letters" in done.out  # the one that was attested as not executed may be replayed
