"""What the documents quote exists: every command and option, every page that an alert or another page leads to."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from ops.backup.__main__ import parser
from tests.fixtures.runbooks import FOLDER, LANGUAGES, Command, blocks, commands, pages
from worker.cli.app import app

ROOT = FOLDER.parents[1]
DOCUMENTS = sorted(file.relative_to(ROOT) for file in [ROOT / "README.md", *(ROOT / "ops").rglob("*.md")])
PLACEHOLDERS = {
    "EXECUTION_ID": "RPM-1",
    "DEAD_LETTER_ID": "0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a",
    "GROUP": "3f9ac01b77de",
    "TICKET": "50012",
    "SYMBOL": "EURUSD",
    "FROM": "2026-03-02T09:30",
    "TO": "2026-03-03",
    "BACKUP": "ledger.dump",
    "HTTP_PORT": "9090",
}
QUOTED = [(page, one) for page in pages() for block in blocks(page) for one in commands(block)]


def named(words: list[str]) -> tuple[Any, list[str]]:
    """Follow the words from group to group; return the command, and the words that are left for it."""
    found: Any = typer.main.get_command(app)
    while isinstance(found, TyperGroup) and words and not words[0].startswith("-"):
        inner = found.commands.get(words[0])
        if inner is None:
            raise LookupError(f"there is no command {words[0]}")
        found, words = inner, words[1:]
    return found, words


def in_passing(document: Path) -> Iterator[str]:
    """Return every place of a document that begins like a command of ours, in the text and in blocks."""
    text = (ROOT / document).read_text("utf-8")
    for found in re.finditer(
        r"`mt5-worker ([^`]+)`|^ *(?:\$ |PS> )?(?:[\w.:\\/]*[\\/])?mt5-worker(?:\.exe)? ([a-z].*)$", text, re.MULTILINE
    ):
        yield (found[1] or found[2]).strip()


@pytest.mark.parametrize(("page", "command"), QUOTED, ids=[f"{page}: {one.line}" for page, one in QUOTED])
def test_a_command_of_a_runbook_is_understood(
    page: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "forgotten.json").touch()  # a file that is read must be there
    monkeypatch.chdir(tmp_path)
    words = command.words(PLACEHOLDERS)
    if words[0] == "mt5-worker":
        found, rest = named(words[1:])
        found.make_context(found.name, rest).close()
    elif words[:3] == ["python", "-m", "ops.backup"]:
        parser().parse_args(words[3:])
    else:
        assert words[0] == "curl", f"{page}: nobody knows how to run {words[0]} in a test: a `text` block is for that"


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_command_and_option_that_a_document_names_exists(document: Path) -> None:
    unknown = []
    for quoted in in_passing(document):
        said = quoted.replace("…", "").split(" > ")[0].split(" && ")[0].split(" | ")[0]
        try:
            found, rest = named([word for word in shlex.split(said, comments=True) if word])
        except (LookupError, ValueError) as error:
            unknown.append(f"{quoted}: {error}")
            continue
        options = {name for parameter in found.params for name in parameter.opts} | {"--help", "-h"}
        given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        unknown += [f"{quoted}: {word}" for word in sorted(given - options)]
    assert unknown == []


def test_every_page_is_in_the_index_and_every_link_leads_somewhere() -> None:
    index = (FOLDER / "README.md").read_text("utf-8")
    for page in pages():
        assert page == "README.md" or f"]({page})" in index, page
        links = re.findall(r"\]\(([^)#]+)\)", (FOLDER / page).read_text("utf-8"))
        assert [link for link in links if "://" not in link and not (FOLDER / link).exists()] == [], page


def test_every_page_that_an_alert_names_is_there_and_names_the_alert() -> None:
    rules = (ROOT / "ops" / "prometheus" / "alerts.yml").read_text("utf-8")
    index = (FOLDER / "README.md").read_text("utf-8")
    found = re.findall(r"- alert: (\w+)\n.*?runbook: ops/runbooks/(\S+)", rules, re.DOTALL)
    assert found
    for alert, page in found:
        assert f"`{alert}`" in (FOLDER / page).read_text("utf-8"), f"{page} does not tell of {alert}"
        assert f"`{alert}`" in index, alert


def test_every_block_says_what_it_is() -> None:
    told = {block.language for page in pages() for block in blocks(page) if page not in {"canary.md", "going-live.md"}}
    assert told <= LANGUAGES


def test_every_placeholder_is_explained() -> None:
    explained = re.findall(r"`([A-Z_]{2,})`", (FOLDER / "README.md").read_text("utf-8"))
    assert set(explained) >= set(PLACEHOLDERS)
    for page, command in QUOTED:
        left = set(re.findall(r"\b[A-Z]{2,}(?:_[A-Z]+)*\b", re.sub(r'"[^"]*"', "", command.line)))
        assert left <= set(PLACEHOLDERS), page
