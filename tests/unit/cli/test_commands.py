"""Commands that need no service, and what the others say when a setting is missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ops.services import detached
from schemas.examples import example_filled, example_rejected
from worker.cli import confirmations, publish
from worker.cli.app import app
from worker.domain.message import IncomingMessage


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("worker.cli.parts.configure_logging", lambda *_: None)


class TestRun:
    def test_everything_that_is_missing_is_told_at_once(self) -> None:
        done = CliRunner().invoke(app, ["run"])

        assert done.exit_code == 2
        assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
            "MT5_BACKEND",
            "AMQP_URL",
            "POSTGRES_URL",
        ]

    def test_the_backend_has_no_default_and_the_line_says_why(self) -> None:
        line = CliRunner().invoke(app, ["run"]).stderr.splitlines()[0]

        assert "simulated or native" in line
        assert "never taken for real" in line


class TestSchema:
    def test_what_was_exported_is_current(self, tmp_path: Path) -> None:
        exported = CliRunner().invoke(app, ["schema", "export", "contract"])
        checked = CliRunner().invoke(app, ["schema", "export", "contract", "--check"])

        assert (exported.exit_code, checked.exit_code) == (0, 0)
        for line in exported.stdout.splitlines():
            json.loads((tmp_path / line).read_text())

    def test_what_has_drifted_is_named(self, tmp_path: Path) -> None:
        CliRunner().invoke(app, ["schema", "export", "contract"])
        (tmp_path / "contract/asyncapi.json").write_text("{}")

        done = CliRunner().invoke(app, ["schema", "export", "contract", "--check"])

        assert done.exit_code == 1
        assert "asyncapi.json" in done.stderr
        assert done.stdout == ""


class TestTopologyExport:
    def test_each_account_gets_a_queue(self) -> None:
        done = CliRunner().invoke(app, ["topology", "export", "--account", "a", "--account", "b", "--vhost", "fx"])

        exported = json.loads(done.stdout)
        assert {"trades.approved.a", "trades.approved.b"} <= {queue["name"] for queue in exported["queues"]}
        assert exported["vhosts"] == [{"name": "fx"}]


class TestServices:
    def test_nothing_is_up_in_a_new_folder(self) -> None:
        done = CliRunner().invoke(app, ["services", "status", "--json"])

        assert done.exit_code == 1
        assert json.loads(done.stdout) == []

    def test_what_is_up_is_told_as_settings(self, up: detached.State) -> None:
        done = CliRunner().invoke(app, ["services", "up"])

        assert done.stdout == f"AMQP_URL={up.amqp_url}\nPOSTGRES_URL={up.postgres_url}\n"

    @pytest.mark.parametrize(("ready", "code", "word"), [(True, 0, "answers"), (False, 3, "silent")])
    def test_the_status_shows_no_password(
        self, up: detached.State, monkeypatch: pytest.MonkeyPatch, *, ready: bool, code: int, word: str
    ) -> None:
        monkeypatch.setattr(detached, "status", lambda: detached.Status(up, rabbitmq_ready=True, postgres_ready=ready))

        done = CliRunner().invoke(app, ["services", "status"])

        assert done.exit_code == code
        assert word in done.stdout
        assert "secret" not in done.stdout

    @pytest.fixture
    def up(self, monkeypatch: pytest.MonkeyPatch) -> detached.State:
        state = detached.State("private", "amqp://a:secret@127.0.0.1:1/", "postgresql://b:secret@127.0.0.1:2/c", [])
        monkeypatch.setattr(detached, "up", lambda: state)
        return state

    def test_there_is_nothing_to_stop(self) -> None:
        done = CliRunner().invoke(app, ["services", "down"])

        assert done.exit_code == 0
        assert "nothing" in done.stdout


class TestMissingSettings:
    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            (["topology", "check"], "AMQP_URL"),
            (["confirmations"], "AMQP_URL"),
            (["db", "check"], "POSTGRES_URL"),
            (["status"], "POSTGRES_URL"),
            (["halt", "--reason", "odd"], "POSTGRES_URL"),
            (["instruments"], "MT5_BACKEND"),
        ],
    )
    def test_the_setting_is_named(self, arguments: list[str], name: str) -> None:
        done = CliRunner().invoke(app, arguments)

        assert done.exit_code == 2
        assert done.stderr.startswith(f"{name}: is not set")


@pytest.mark.parametrize("password", ["s3cret%ZZ", "s3cret/x", "s3cret x", "a@s3cret/x"])
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("POSTGRES_URL", f"postgresql://worker:{password}@127.0.0.1:1/ledger")

    done = CliRunner().invoke(app, ["status"])

    assert done.exit_code == 2
    assert done.stderr.startswith("POSTGRES_URL: percent-encode")
    assert "s3cret" not in done.stderr


class TestSymbolOfAMessage:
    """The routing key's last part comes from the body, as far as it can be read."""

    @pytest.mark.parametrize("trade", ["approved_trade", "rejected_trade"])
    def test_it_is_the_trades(self, trade: str) -> None:
        decision = {"approved_trade": None, "rejected_trade": None, trade: {"symbol": "EURUSD.pro"}}

        assert publish._symbol_in(json.dumps({"decision": decision}).encode()) == "EURUSD.pro"

    @given(st.binary() | st.from_type(type(None)).map(lambda _: b"[" * 100_000))
    def test_whatever_cannot_be_read_has_a_placeholder(self, body: bytes) -> None:
        assert publish._symbol_in(body) == "_"

    @pytest.mark.parametrize("symbol", [None, "", 7, ["EURUSD"]])
    def test_a_symbol_that_is_none(self, symbol: object) -> None:
        body = json.dumps({"decision": {"approved_trade": {"symbol": symbol}, "rejected_trade": None}})

        assert publish._symbol_in(body.encode()) == "_"


class TestFollowing:
    """Confirmations are shown as they come, until enough have come or time is over."""

    async def _some(self, count: int) -> AsyncGenerator[IncomingMessage, None]:
        for _ in range(count):
            yield IncomingMessage(example_filled().to_bytes())
        await asyncio.Event().wait()

    async def test_it_ends_after_so_many(self, capsys: pytest.CaptureFixture[str]) -> None:
        seen = await confirmations._follow(self._some(5), 2, None, as_json=True)

        lines = capsys.readouterr().out.splitlines()
        assert seen == len(lines) == 2
        assert json.loads(lines[0])["status"] == "filled"

    async def test_it_ends_when_time_is_over(self) -> None:
        assert await confirmations._follow(self._some(1), None, 0.05, as_json=True) == 1

    def test_a_line_tells_what_became_of_the_trade(self) -> None:
        filled, rejected = (one.to_bytes().decode() for one in (example_filled(), example_rejected()))

        assert "EURUSD buy 100000 of 100000: filled at 1.08425" in confirmations._line(filled)
        assert "rejected (spread_too_wide)" in confirmations._line(rejected)

    @pytest.mark.parametrize("text", ["", "[]", "{}", "null", "\\xff"])
    def test_what_is_no_confirmation_is_shown_as_it_is(self, text: str) -> None:
        assert confirmations._line(text) == f"not a confirmation: {text}"
