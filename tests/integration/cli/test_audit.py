"""An auditor takes the trail away, and holds it against itself where there is no ledger any more."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.confirmations import MONDAY, TUESDAY, Told, fill, store
from tests.fixtures.exports import flipped
from tests.integration.cli.conftest import Desk, Done
from tests.integration.ledger.conftest import user_of
from worker.ledger.connection import PERSON_SESSION, connect

pytestmark = pytest.mark.services


@pytest.fixture(scope="module", autouse=True)
def _story(desk: Desk) -> None:
    """Let something happen that concerns no trade, and then something that does again."""
    [letter] = desk.say("dlq", "list", "--reason", "network_error", "--json").json
    for words in (
        ["halt", "--reason", "odd fills"],
        ["resume", "--reason", "explained"],
        ["dlq", "discard", letter["id"], "--reason", "not needed any more", "--yes"],
    ):
        done = desk.say(*words)
        assert done.code == 0, done.err


FORMS = pytest.mark.parametrize("form", ["jsonl", "csv"])


def export(desk: Desk, name: str, *options: str) -> Path:
    """Export to a new file and return its path."""
    file = Path(desk.folder) / name
    done = desk.say("audit", "export", "--output", str(file), *options)
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith(f"events exported; the manifest, {file}.manifest.json, belongs to them\n")
    return file


def manifest_of(file: Path) -> Any:
    return json.loads(Path(f"{file}.manifest.json").read_text())


def offline(desk: Desk, *words: str, given: str | None = None) -> Done:
    """Verify without a setting that leads anywhere."""
    return Desk({"COLUMNS": "80"}, desk.folder).say("audit", "verify", *words, given=given)


class TestAFile:
    @FORMS
    def test_it_is_verified_where_there_is_no_ledger(self, desk: Desk, form: str) -> None:
        file = export(desk, f"all.{form}", "--format", form, "--by", "ann@desk")

        done = offline(desk, str(file))

        assert done.code == 0, done.out
        assert "internally consistent" in _flat(done.out)
        assert "as exported by ann@desk" in _flat(done.out)
        assert "Nothing is missing: it holds each chain from its first event to its head" in _flat(done.out)
        assert max(map(len, done.out.replace(str(file), "").splitlines())) <= 80
        [verdict] = offline(desk, str(file), "--json").json
        assert (verdict["holds"], verdict["coverage"], verdict["fault"]) == (True, "whole", None)
        assert verdict["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()

    @FORMS
    def test_one_changed_bit_is_named_with_its_line(self, desk: Desk, form: str) -> None:
        file = export(desk, f"flipped.{form}", "--format", form)
        text = file.read_bytes()
        lines = text.splitlines(keepends=True)
        place = 8 * (len(b"".join(lines[:4])) + lines[4].index(b"main"))
        file.write_bytes(flipped(text, place))

        done = offline(desk, str(file))

        assert done.code == 1
        sequence = 5 if form == "jsonl" else 4
        problem = f"event {sequence} was changed: its content does not match its hash"
        assert done.out == f"{file}, line 5: {problem}\n"
        [verdict] = offline(desk, str(file), "--json").json
        assert verdict["fault"] == {
            "file": str(file),
            "line": 5,
            "account": "lain",
            "sequence": sequence,
            "problem": problem,
        }

    def test_its_manifest_tells_all_of_it(self, desk: Desk) -> None:
        file = export(desk, "told.jsonl")

        told = manifest_of(file)

        events = [json.loads(line) for line in file.read_bytes().splitlines()]
        [main] = told["contents"]["accounts"]
        assert main["events"] == told["contents"]["events"] == len(events) == main["head_sequence"]
        assert (main["first_at"], main["last_at"]) == (events[0]["at"], events[-1]["at"])
        assert main["head_hash"] == events[-1]["hash"]
        assert told["contents"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert told["ledger"].keys() == {"database", "system_identifier", "first_namespace"}
        assert None not in told["ledger"].values()
        assert told["program"].startswith("mt5-worker ")

    def test_a_changed_manifest_is_named(self, desk: Desk) -> None:
        file = export(desk, "spoilt.jsonl")
        beside = Path(f"{file}.manifest.json")
        beside.write_text(beside.read_text().replace('"trade": null', '"trade": "x"'))

        done = offline(desk, str(file))

        assert done.code == 1
        assert done.out == f"{beside}: it was changed: its content does not match its own checksum\n"
        assert offline(desk, str(file), "--json").json[0]["fault"]["file"] == str(beside)

    def test_another_exports_manifest_does_not_fit(self, desk: Desk) -> None:
        file = export(desk, "one.jsonl")
        export(desk, "other.jsonl", "--trade", "RPM-2")

        done = offline(desk, str(file), "--manifest", f"{file.parent}/other.jsonl.manifest.json")

        assert done.code == 1
        assert "line 1: event 1 was added" in done.out

    def test_nothing_is_replaced_and_nothing_half_done_is_left(self, desk: Desk) -> None:
        file = export(desk, "kept.jsonl")
        before = file.read_bytes()

        again = desk.say("audit", "export", "--output", str(file))
        assert (again.code, file.read_bytes()) == (2, before)
        assert "exists already" in _sentence(again.err)

        folder = Path(desk.folder)
        there = sorted(folder.iterdir())
        assert desk.say("audit", "export", "--output", str(folder / "x.jsonl"), "--trade", "nothing").code == 1
        assert desk.say("audit", "export", "--output", str(folder / "nowhere" / "x.jsonl")).code == 2
        assert sorted(folder.iterdir()) == there

    def test_it_may_come_from_standard_input(self, desk: Desk) -> None:
        file = export(desk, "piped.csv", "--format", "csv")

        done = offline(desk, "-", "--manifest", f"{file}.manifest.json", given=file.read_text())

        assert done.code == 0, done.out
        assert offline(desk, "-", given=file.read_text()).code == 0


class TestStandardOutput:
    def test_events_go_there_and_the_manifest_beside_them(self, desk: Desk) -> None:
        done = desk.say("audit", "export")

        told = json.loads(done.err)
        assert told["contents"]["sha256"] == hashlib.sha256(done.out.encode()).hexdigest()
        assert len(done.out.splitlines()) == told["contents"]["events"]

    def test_the_manifest_may_have_a_file_of_its_own(self, desk: Desk) -> None:
        place = Path(desk.folder) / "own.manifest.json"

        done = desk.say("audit", "export", "--format", "csv", "--manifest", str(place))

        assert done.err == ""
        rows = list(csv.DictReader(io.StringIO(done.out)))
        assert len(rows) == json.loads(place.read_text())["contents"]["events"]
        assert offline(desk, "-", "--manifest", str(place), given=done.out).code == 0


class TestASelection:
    def test_of_a_trade_by_either_of_its_ids(self, desk: Desk) -> None:
        [execution] = desk.say("executions", "list", "--status", "filled", "--json").json
        by_trade = export(desk, "trade.jsonl", "--trade", execution["trade_id"])
        by_execution = export(desk, "execution.jsonl", "--trade", execution["execution_id"])

        assert by_trade.read_bytes() == by_execution.read_bytes()
        events = [json.loads(line) for line in by_trade.read_bytes().splitlines()]
        assert {event["execution_id"] for event in events} == {execution["execution_id"]}
        assert next(event["kind"] for event in events) == "received"
        assert desk.say("audit", "export", "--trade", "nothing").err.startswith("the ledger has no trade")

    def test_of_a_symbol_and_what_it_proves(self, desk: Desk) -> None:
        everything = export(desk, "everything.jsonl")
        file = export(desk, "symbol.jsonl", "--symbol", "EURUSD")

        lines, all_lines = file.read_bytes().splitlines(), everything.read_bytes().splitlines()
        assert 0 < len(lines) < len(all_lines)
        assert lines == [line for line in all_lines if json.loads(line)["execution_id"]]
        [part] = manifest_of(file)["contents"]["accounts"]
        assert part["left_out"] == part["last_sequence"] - part["first_sequence"] + 1 - len(lines) > 0
        done = offline(desk, str(file))
        assert done.code == 0
        assert "left out" in _flat(done.out)
        assert "only the ledger tells" in _flat(done.out)

    def test_a_removed_event_shows_in_it_too(self, desk: Desk) -> None:
        file = export(desk, "removed.jsonl", "--symbol", "EURUSD")
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join([*lines[:2], *lines[3:]]))

        done = offline(desk, str(file))

        assert done.code == 1
        assert f"{file}, line 3: " in done.out

    def test_of_nothing(self, desk: Desk) -> None:
        file = export(desk, "nothing.jsonl", "--symbol", "USDJPY")

        assert file.read_bytes() == b""
        assert manifest_of(file)["filters"]["symbol"] == "USDJPY"
        assert offline(desk, str(file)).code == 0

    def test_of_a_time(self, desk: Desk) -> None:
        everything = [json.loads(line) for line in desk.say("audit", "export").out.splitlines()]
        first, last = everything[2]["at"], everything[5]["at"]

        file = export(desk, "time.jsonl", "--from", first, "--to", last, "--account", "main")

        times = [json.loads(line)["at"] for line in file.read_bytes().splitlines()]
        assert times == [event["at"] for event in everything if first <= event["at"] < last]
        assert "it says nothing about what was before and after" in _flat(offline(desk, str(file)).out)


class TestAnchors:
    def test_subscribers_copies_hold_a_file_to_what_they_were_told(self, desk: Desk) -> None:
        file = export(desk, "anchored.jsonl")
        events = [json.loads(line) for line in file.read_bytes().splitlines()]
        copies = Path(desk.folder) / "copies.jsonl"
        copies.write_text(_copy(events[3]["sequence"], events[3]["hash"]) + _copy(9999, "0" * 64))

        done = offline(desk, str(file), "--anchors", str(copies))

        assert done.code == 0
        assert "1 anchors of subscribers agree 1 anchors are of events that are not in the file" in _flat(done.out)
        copies.write_text(_copy(events[3]["sequence"], "0" * 64))
        done = offline(desk, str(file), "--anchors", str(copies))
        assert done.code == 1
        assert "line 4: event 4, or one before it, was rewritten" in done.out


@pytest.fixture(scope="module")
def reported(desk: Desk) -> Desk:
    """Give an account of its own some confirmations."""
    trades = [
        fill(MONDAY, "0.5", "0.41"),
        fill(TUESDAY, "12", "3", symbol="XAUUSD", exceeded=True),
        Told(TUESDAY, "rejected", reason="market_closed"),
        Told(TUESDAY, "rejected", symbol="<b>\x1b[31m", reason="unknown_symbol"),
    ]
    store(desk.settings["POSTGRES_URL"], [replace(one, account="reported") for one in trades])
    return desk


class TestAReport:
    WINDOW = ("--from", "2026-03-02", "--to", "2026-03-09", "--account", "reported")

    def test_a_person_sees_tables_that_fit_the_terminal(self, reported: Desk) -> None:
        done = reported.say("audit", "report", *self.WINDOW)

        assert (done.code, done.err) == (0, "")
        assert max(map(len, done.out.splitlines())) <= 80
        assert re.search(r"2026-03-02 +EURUSD +1 +1 +0 +100 %", done.out)
        assert re.search(r"all +all +4 +2 +0 +50 % +2 rejected", done.out)
        assert re.search(r"market_closed +rejected +1", done.out)
        assert "\x1b" not in done.out

    def test_a_program_gets_all_of_it(self, reported: Desk) -> None:
        told = reported.say("audit", "report", *self.WINDOW, "--json").json

        assert told["total"]["executions"] == 4
        assert told["total"]["slippage"]["worst"] == 12
        assert [line["day"] for line in told["by_day"]] == ["2026-03-02", "2026-03-03"]
        nothing = reported.say("audit", "report", *self.WINDOW, "--symbol", "USDJPY", "--json").json
        assert (nothing["total"]["executions"], nothing["by_day"]) == (0, [])
        assert "no trade was confirmed" in reported.say("audit", "report", *self.WINDOW, "--symbol", "USDJPY").out

    def test_a_page_is_written_to_a_new_file(self, reported: Desk) -> None:
        file = Path(reported.folder) / "report.html"

        done = reported.say("audit", "report", *self.WINDOW, "--html", str(file))

        assert (done.code, done.out) == (0, "4 trades are in the page\n")
        assert "&lt;b&gt;\\x1b[31m" in file.read_text()
        again = reported.say("audit", "report", *self.WINDOW, "--html", str(file))
        assert (again.code, "exists already" in _sentence(again.err)) == (2, True)

    def test_the_last_week_is_usual(self, reported: Desk) -> None:
        assert reported.say("audit", "report", "--json").json["total"]["executions"] == 2
        assert reported.say("audit", "report", "--account", "nobody").code == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["verify", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["verify", "."], ". cannot be read"),
        (["verify", "pyproject.toml", "--manifest", "nowhere.json"], "cannot be read"),
        (["verify", "x.jsonl", "--account", "main"], "a file is verified as a whole"),
        (["verify", "--manifest", "x.json"], "name the file, too"),
        (["verify", "-", "--anchors", "-"], "standard input"),
        (["export", "--symbol", "X", "--trade", "Y"], "without --symbol"),
        (["export", "--from", "soon"], "neither an age"),
        (["report", "--from", "2026-03-02", "--to", "2026-03-02"], "--from comes before --to"),
        (["report", "--from", "2000-01-01"], "366 days at most"),
    ],
)
def test_what_makes_no_sense_is_told(desk: Desk, words: list[str], complaint: str) -> None:
    done = desk.say("audit", *words)

    assert (done.code, done.out) == (2, "")
    assert complaint in _sentence(done.err)


def test_a_terminal_is_not_given_what_could_steer_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.cli.audit.exporting.is_a_terminal", lambda: True)

    assert desk.say("audit", "export", "--format", "csv").code == 2
    assert all(line.isascii() and line.isprintable() for line in desk.say("audit", "export").out.splitlines())


def test_a_ledger_out_of_reach_leaves_nothing_behind(desk: Desk) -> None:
    file = Path(desk.folder) / "unreachable.jsonl"
    url = "postgresql://me@127.0.0.1:9/x"

    for words in (["export", "--output", str(file)], ["report", "--html", str(file)]):
        done = Desk({**desk.settings, "POSTGRES_URL": url}, desk.folder).say("audit", *words)

        assert done.code == 3
        assert "PostgreSQL does not answer" in done.err
    assert not [one for one in Path(desk.folder).iterdir() if "unreachable" in one.name]


@pytest.mark.parametrize("content", ["", "hello\n", "{}\n", "account\n", "\0" * 100])
def test_what_is_no_export_is_no_proof(desk: Desk, tmp_path: Path, content: str) -> None:
    file = tmp_path / "x"
    file.write_text(content)

    done = offline(desk, str(file))

    assert (done.code, done.err) == (1, "")
    assert f"{file}, line 1: " in done.out


def test_an_auditor_reads_all_of_it_and_writes_nothing(desk: Desk) -> None:
    url = asyncio.run(_of_an_auditor(desk.settings["POSTGRES_URL"]))
    auditor = Desk({**desk.settings, "POSTGRES_URL": url}, desk.folder)
    before = desk.say("audit", "export").out

    said = auditor.say("audit", "export")

    assert (said.code, said.out) == (0, before)
    assert auditor.say("audit", "export", "--symbol", "EURUSD").code == 0
    assert auditor.say("audit", "export", "--trade", "RPM-1").code == 0
    assert auditor.say("audit", "verify").code == 0
    assert auditor.say("audit", "report").code == 0
    assert desk.say("audit", "export").out == before


async def _of_an_auditor(url: str) -> str:
    async with await connect(url, "test", PERSON_SESSION) as owner:
        return await user_of(owner, url, role="mt5_auditor")


def _flat(text: str) -> str:
    """Return a text without the line breaks that a terminal needs."""
    return " ".join(text.split())


def _sentence(error: str) -> str:
    """Return what stands in typer's box, without the box and its line breaks."""
    return _flat(error.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " "))


def _copy(sequence: int, digest: str) -> str:
    audit = {"sequence": sequence, "hash": digest}
    return json.dumps({"account": "main", "execution_id": "e", "version": 1, "audit": audit}) + "\n"
