"""A day at the desk: after many mixed trades every command of an operator is right, legible, and of one mind."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from ops.services.places import free_port
from tests.acceptance.busy_day import LONG_NAME, Day, publish_a_day
from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.acceptance.test_operator import DEAD_LETTER_FIELDS, EXECUTION_FIELDS
from tests.fixtures.rpm import approval
from tests.fixtures.scrape import Scraper
from tests.fixtures.terminal_screen import on_a_terminal
from tests.fixtures.worker_process import Finished, environment

pytestmark = [pytest.mark.acceptance, pytest.mark.services, pytest.mark.timeout(240)]

COLUMNS = 80
STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
LISTINGS = (
    ("executions", "list"),
    ("executions", "list", "--open"),
    ("executions", "list", "--status", "rejected", "--since", "1h"),
    ("executions", "list", "--symbol", "EURUSD.partial", "--account", "main"),
    ("executions", "list", "--text", LONG_NAME),
    ("dlq", "list"),
    ("dlq", "list", "--reason", "schema_invalid", "--state", "new", "--account", "main"),
    ("dlq", "list", "--symbol", "EURUSD", "--since", "1h"),
    ("dlq", "list", "--text", "STOP_LOSS"),
    ("dlq", "groups"),
    ("instruments",),
    ("status",),
    ("doctor",),
    ("audit", "report"),
    ("audit", "verify"),
)
EMPTY = (
    ("executions", "list", "--symbol", "NONE"),
    ("executions", "list", "--status", "cancelled"),
    ("executions", "list", "--until", "1d"),
    ("dlq", "list", "--state", "discarded"),
    ("dlq", "list", "--text", "nobody wrote this"),
    ("dlq", "groups", "--symbol", "NONE"),
)
OF_NOBODY = "00000000-0000-4000-8000-000000000000"
NOT_FOUND = (
    ("executions", "show", "RPM-nobody"),
    ("dlq", "show", "123"),
    ("dlq", "show", OF_NOBODY),
    ("dlq", "replay", OF_NOBODY, "--reason", "a typo"),
    ("dlq", "discard", OF_NOBODY, "--reason", "a typo"),
    ("status", "--account", "nobody"),
)
WRONG = (
    ("dlq", "list", "--state", "old"),
    ("dlq", "list", "--since", "yesterday"),
    ("dlq", "replay", "--reason", "of nothing"),
    ("executions", "list", "--status", "done"),
    ("executions", "show"),
    ("halt",),
    ("status", "5"),
)
# Refused before they were trades: confirmed all the same, so the report counts them.
NEVER_TRADES = {"network_error", "outcome_unknown", "internal_error"}


@pytest.fixture(scope="module", params=[60, pytest.param(420, marks=pytest.mark.chaos)], ids="{} trades".format)
def day(request: pytest.FixtureRequest, new_desk: DeskMaker) -> Iterator[tuple[Desk, Day]]:
    with new_desk(
        HTTP_PORT=str(free_port()),
        ORDER_TIMEOUT_SECONDS="2",
        UNKNOWN_HORIZON_SECONDS="3",
        MAX_TRADE_AGE_SECONDS="600",
        COLUMNS=str(COLUMNS),
    ) as desk:
        yield desk, publish_a_day(desk, request.param)


@pytest.fixture
def desk(day: tuple[Desk, Day]) -> Desk:
    return day[0]


@pytest.fixture
def published(day: tuple[Desk, Day]) -> Day:
    return day[1]


def _is_legible(done: Finished, code: int = 0) -> None:
    assert done.code == code, done.said
    assert "Traceback" not in done.said
    assert not STEERING.search(done.said), done.said
    assert [line for line in done.out.splitlines() if cell_len(line) > COLUMNS] == []


def _letters(desk: Desk, *filters: str) -> list[str]:
    return [one["id"] for one in desk.listing("dlq", "list", *filters)]


def _done(desk: Desk, *arguments: str) -> str:
    """Do something that is legible to people, and return what it said."""
    done = desk.command(*arguments)
    _is_legible(done)
    return done.out


class TestWhatIsListed:
    """Nothing is changed by looking."""

    @pytest.mark.parametrize("listing", LISTINGS, ids=" ".join)
    def test_a_listing_is_legible_and_right_as_json(self, desk: Desk, published: Day, listing: tuple[str, ...]) -> None:
        assert published.trades
        _is_legible(desk.command(*listing))

        told = desk.command(*listing, "--json")

        assert told.code == 0, told.said
        assert told.err == ""
        assert told.json

    @pytest.mark.parametrize("listing", EMPTY, ids=" ".join)
    def test_nothing_is_an_empty_list(self, desk: Desk, listing: tuple[str, ...]) -> None:
        assert desk.listing(*listing) == []
        assert _done(desk, *listing).startswith("no ")

    @pytest.mark.parametrize("listing", [("executions", "list"), ("dlq", "list"), ("dlq", "groups"), ("status",)])
    def test_it_is_legible_on_a_terminal_of_80_columns(self, desk: Desk, listing: tuple[str, ...]) -> None:
        code, screen = on_a_terminal(listing, environment(desk.settings), desk.folder, COLUMNS)

        assert code == 0
        assert max(map(cell_len, screen.splitlines())) <= COLUMNS

    @pytest.mark.parametrize("arguments", NOT_FOUND, ids=" ".join)
    def test_what_is_not_there_is_a_sentence(self, desk: Desk, arguments: tuple[str, ...]) -> None:
        done = desk.command(*arguments)

        _is_legible(done, code=1)
        assert (done.out, len(done.err.splitlines())) == ("", 1)

    @pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
    def test_wrong_use_is_explained(self, desk: Desk, arguments: tuple[str, ...]) -> None:
        _is_legible(desk.command(*arguments), code=2)

    def test_what_is_checked_is_well(self, desk: Desk) -> None:
        for check in (("topology", "check"), ("db", "check")):
            _is_legible(desk.command(*check))


class TestOneMind:
    """What was published, the book, and every command that counts say the same."""

    def test_the_executions(self, desk: Desk, published: Day) -> None:
        listed = desk.listing("executions", "list")
        [account] = desk.listing("status")
        report = desk.command("audit", "report", "--json").json["total"]["by_status"]

        assert all(one.keys() >= EXECUTION_FIELDS for one in listed)
        assert Counter((one["status"], one["reason"]) for one in listed) == published.ends
        counted = Counter(str(one["status"]) for one in listed)
        assert account["executions_by_state"] == counted
        never_trades = sum(count for reason, count in published.letters.items() if reason not in NEVER_TRADES)
        assert Counter(report) == counted + Counter(rejected=never_trades)
        assert self._scraped_trades(desk) == counted

    def _scraped_trades(self, desk: Desk) -> Counter[str]:
        found: Counter[str] = Counter()
        for (name, labels), value in Scraper(int(desk.settings["HTTP_PORT"])).metrics.items():
            if name == "trades_total":
                found[dict(labels)["status"]] += int(value)
        return +found

    def test_the_broker(self, desk: Desk) -> None:
        executed = {one["order_id"]: one["executed_lots"] for one in desk.listing("executions", "list")}
        executed = {ticket: lots for ticket, lots in executed.items() if lots}

        booked = {one.ticket: one for one in desk.book.traded() if one.deals}
        hidden = set(booked) - set(executed)  # of the one that is unresolved

        assert {ticket: pytest.approx(float(booked[ticket].lots)) for ticket in executed} == executed
        assert {booked[ticket].order["symbol"] for ticket in hidden} == {"EURUSD.nohistory"}

    def test_the_dead_letters(self, desk: Desk, published: Day) -> None:
        listed = desk.listing("dlq", "list")
        groups = desk.listing("dlq", "groups")
        [account] = desk.listing("status")

        assert all(one.keys() >= DEAD_LETTER_FIELDS for one in listed)
        assert Counter(one["reason"] for one in listed) == published.letters
        grouped: Counter[str] = Counter()
        for group in groups:
            grouped[group["reason"]] += group["letters"]
        assert grouped == published.letters
        assert account["dead_letters_by_reason"] == published.waiting
        scraper = Scraper(int(desk.settings["HTTP_PORT"]))
        eventually(
            lambda: {name: n for (name,), n in scraper.by("dead_letters", "reason").items()} == published.waiting,
            "the metrics count other dead letters",
        )

    def test_every_id_of_a_listing_leads_to_its_story(self, desk: Desk, published: Day) -> None:
        listed = desk.listing("executions", "list")
        one_of_each = {(one["status"], published.is_long and one["reason"]): one for one in listed}
        page = desk.command("executions", "list", "--limit", "1000").out

        for line in one_of_each.values():
            assert line["execution_id"] in page
            _is_legible(desk.command("executions", "show", line["execution_id"], "--raw"))
            told = desk.command("executions", "show", line["execution_id"], "--json").json
            assert {name: told[name] for name in EXECUTION_FIELDS} == {name: line[name] for name in EXECUTION_FIELDS}
            assert told["timeline"]

    def test_every_dead_letter_says_whether_money_is_at_risk(self, desk: Desk, published: Day) -> None:
        page = desk.command("dlq", "list").out

        for line in {one["reason"]: one for one in desk.listing("dlq", "list", "--state", "new")}.values():
            assert line["id"] in page
            if published.is_long or line["reason"] in {"schema_invalid", "outcome_unknown"}:
                assert _done(desk, "dlq", "show", line["id"]).startswith("An order at the broker?")
            told = desk.command("dlq", "show", line["id"], "--json").json
            assert (told["id"], told["reason"]) == (line["id"], line["reason"])
            decides = "executions resolve" if line["reason"] == "outcome_unknown" else f"dlq discard {line['id']}"
            assert decides in told["to_do"][-1]
            assert (told["at_broker"]["answer"] == "no") == (line["reason"] != "outcome_unknown")


class TestWhatIsDone:
    """Each change says what it has done, and the day's figures go on to be right."""

    def test_letters_are_put_away_and_taken_out_again(self, desk: Desk) -> None:
        [group] = desk.listing("dlq", "groups", "--reason", "malformed_json")
        letters = set(_letters(desk, "--group", group["fingerprint"]))

        put_away = _done(desk, "dlq", "discard", "--group", group["fingerprint"], "--reason", "noise", "--yes")
        assert set(_letters(desk, "--state", "discarded")) == letters
        taken_out = _done(desk, "dlq", "restore", *letters, "--reason", "not noise")

        assert (put_away, taken_out) == ("1 dead letter discarded\n", "1 dead letter restored\n")
        assert not _letters(desk, "--state", "discarded")

    def test_letters_leave_in_a_file_and_are_known_when_they_come_back(self, desk: Desk, published: Day) -> None:
        _done(desk, "dlq", "export", "letters.jsonl")

        known = _done(desk, "dlq", "import", "letters.jsonl", "--yes")

        assert known == f"0 dead letters taken over, {published.letters.total()} here already\n"

    def test_letters_are_replayed_once(self, desk: Desk, published: Day) -> None:
        # Given two messages that never became trades, and one that is wrong for ever
        defect, late = (_letters(desk, "--reason", reason)[0] for reason in ("internal_error", "expired"))
        broken = _letters(desk, "--reason", "malformed_json")[0]
        plan = desk.command("dlq", "replay", defect, late, broken, "--dry-run", "--json").json
        assert [one["prospect"] for one in plan] == ["will_trade", "will_trade", "will_be_refused"]
        _is_legible(desk.command("dlq", "replay", defect, late, broken, "--dry-run"))

        # When one is replayed by its id, and one by a filter
        for what in ((defect,), ("--failure", "expired", "--yes")):
            done = desk.command("dlq", "replay", *what, "--reason", "it is well now", "--wait", "30", "--json")
            assert (done.code, [(one["state"], one["status"]) for one in done.json]) == (0, [("resolved", "filled")])
            published.ends["filled", None] += 1
        published.seen_to.update(("internal_error", "expired"))

        # Then nobody can do it once more, and each has one order at the broker
        again = desk.command("dlq", "replay", defect, late, "--reason", "once more", "--yes")
        _is_legible(again, code=1)
        lots = Counter(one.order["volume_initial"] for one in desk.book.traded() if one.deals)
        assert (lots[9.05], lots[9.07]) == (1, 1)

    def test_a_symbol_is_held_and_let_go(self, desk: Desk, published: Day) -> None:
        held = _done(desk, "halt", "--symbol", "US500", "--hold", "--reason", "the close", "--by", "ann")
        sent = desk.publish(approval("US500", 1.0))
        [account] = desk.listing("status")
        assert [halt["symbol"] for halt in account["halts"]] == ["US500"]
        assert "US500 is halted by ann: the close" in " ".join(_done(desk, "status").split())

        let_go = _done(desk, "resume", "--symbol", "US500", "--reason", "open again")

        assert "is halted" in held
        assert "trades again" in let_go
        published.expect(sent, *desk.confirmation(sent).outcome)
        assert published.ends["filled", None]

    def test_confirmations_are_published_again(self, desk: Desk) -> None:
        before = len(desk.downstream.received)

        said = _done(desk, "confirmations", "republish", "--from", "2020-01-01", "--to", "2100-01-01", "--yes")

        count = int(said.split()[0])
        assert count >= len(desk.listing("executions", "list"))
        desk.downstream.wait_for_count(before + count)


class TestTheTrail:
    """The audit trail leaves the house and stands on its own."""

    @pytest.mark.parametrize("form", ["jsonl", "csv"])
    def test_it_is_exported_and_verified_without_a_ledger(self, desk: Desk, form: str) -> None:
        file = f"trail.{form}"
        exported = desk.command("audit", "export", "--format", form, "--output", file)
        _is_legible(exported)

        verified = desk.command("audit", "verify", file, POSTGRES_URL="", AMQP_URL="")

        _is_legible(verified)
        assert "internally consistent" in verified.out

    def test_one_trade_of_it(self, desk: Desk, published: Day) -> None:
        exported = desk.command("audit", "export", "--trade", published.trades[0].trade_id)

        assert exported.code == 0, exported.err
        assert {json.loads(line)["account"] for line in io.StringIO(exported.out)} == {"main"}

    def test_the_page_is_one_file(self, desk: Desk) -> None:
        _is_legible(desk.command("audit", "report", "--html", "page.html"))

        page = Path(desk.folder / "page.html").read_text()
        assert "EURUSD.partial" in page
        assert not re.search(r"(src|href)=.https?:", page)
