"""What goes wrong before anything runs: one clear message, the contract's exit code, no traceback, no secret."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from ops.services import Services
from tests.fixtures.worker_process import Finished, run_command

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

SECRET = "hunter2-do-not-print"  # noqa: S105 - a marker to search for
NOBODY_AMQP = f"amqp://worker:{SECRET}@127.0.0.1:9/%2F"
NOBODY_POSTGRES = f"postgresql://worker:{SECRET}@127.0.0.1:9/ledger"
MISTAKES = {
    "MT5_BACKEND": "paper",
    "MT5_LOGIN": "me",
    "MAX_RETRIES": "0",
    "MAX_SLIPPAGE_PIPS": "-1",
    "ORDER_TIMEOUT_SECONDS": "soon",
    "MIN_MARGIN_CUSHION": "nan",
    "SYMBOL_MAP": "{not json",
    "PIP_SIZES": '{"XAUUSD": "big"}',
    "MAX_SLIPPAGE_PIPS_BY_SYMBOL": "[1]",
    "VOLUME_POLICY": "round",
    "ACCOUNT": "no spaces",
    "ACCOUNT_MODE": "both",
    "AMQP_URL": f"http://worker:{SECRET}@127.0.0.1",
    "POSTGRES_URL": f"mysql://worker:{SECRET}@127.0.0.1",
    "MAX_IN_FLIGHT": "0",
    "HTTP_PORT": "70000",
    "LOG_FORMAT": "xml",
    "LOG_LEVEL": "LOUD",
}
COMMANDS = (
    "run",
    "demo",
    "publish",
    "confirmations",
    "status",
    "halt",
    "resume",
    "executions",
    "dlq",
    "instruments",
    "topology",
    "schema",
    "db",
    "doctor",
    "services",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope="module")
def empty(services: Services) -> Iterator[dict[str, str]]:
    """Give settings for an empty virtual host and an empty database."""
    name = f"commands_{secrets.token_hex(5)}"
    yield {
        "AMQP_URL": services.new_vhost(name),
        "POSTGRES_URL": services.new_database(name),
        "MT5_BACKEND": "simulated",
    }
    services.delete_vhost(name)
    services.drop_database(name)


def _with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{password}@{parts.hostname}:{parts.port}"))


def _fails(done: Finished, code: int, *words: str) -> None:
    assert done.code == code, done.said
    assert "Traceback" not in done.said
    assert SECRET not in done.said
    for word in words:
        assert word.lower() in done.err.lower(), done.err


@pytest.fixture(scope="module")
def told_mistakes(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Start a worker that has every one of its settings wrong."""
    return run_command("run", settings=MISTAKES, folder=tmp_path_factory.mktemp("mistakes"))


def test_wrong_settings_stop_the_program(told_mistakes: Finished) -> None:
    _fails(told_mistakes, 2)


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_every_mistake_is_named_on_a_line_of_its_own(told_mistakes: Finished, name: str) -> None:
    lines = [line for line in told_mistakes.err.splitlines() if re.search(rf"\b{name}\b", line)]

    assert len(lines) == 1, told_mistakes.err
    assert len(lines[0]) > len(name) + 10, "it says what is wrong, not only where"


@pytest.mark.parametrize(("name", "value"), [("MAX_RETRIES", "many"), ("UNKNOWN_HORIZON_SECONDS", "61")])
def test_one_mistake_is_one_line(folder: Path, name: str, value: str) -> None:
    settings = {"MT5_BACKEND": "simulated", "AMQP_URL": NOBODY_AMQP, "POSTGRES_URL": NOBODY_POSTGRES, name: value}

    done = run_command("run", settings=settings, folder=folder)

    _fails(done, 2, name)
    assert len(done.err.splitlines()) == 1, done.err


@pytest.mark.parametrize("name", ["MT5_BACKEND", "AMQP_URL", "POSTGRES_URL"])
def test_run_has_no_default_for_what_decides_where_orders_go(folder: Path, name: str) -> None:
    settings = {"MT5_BACKEND": "simulated", "AMQP_URL": NOBODY_AMQP, "POSTGRES_URL": NOBODY_POSTGRES}
    del settings[name]

    _fails(run_command("run", settings=settings, folder=folder), 2, name)


def test_the_native_terminal_needs_windows(folder: Path, empty: dict[str, str]) -> None:
    assert run_command("db", "migrate", settings=empty, folder=folder).code == 0
    settings = {**empty, "MT5_BACKEND": "native", "MT5_LOGIN": "1", "MT5_PASSWORD": SECRET, "MT5_SERVER": "Live-1"}

    _fails(run_command("run", settings=settings, folder=folder), 2, "Windows")


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("status",),
        ("halt", "--reason", "odd", "--yes"),
        ("dlq", "list"),
        ("db", "migrate"),
        ("doctor",),
    ],
)
def test_postgresql_out_of_reach(folder: Path, empty: dict[str, str], arguments: tuple[str, ...]) -> None:
    settings = {**empty, "POSTGRES_URL": NOBODY_POSTGRES, "MT5_PASSWORD": SECRET}

    done = run_command(*arguments, settings=settings, folder=folder)

    _fails(done, 3)
    assert "postgresql" in done.said.lower()


@pytest.mark.parametrize(
    "arguments", [("run",), ("topology", "check"), ("topology", "declare"), ("publish", "-"), ("doctor",)]
)
def test_rabbitmq_out_of_reach(folder: Path, empty: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert run_command("db", "migrate", settings=empty, folder=folder).code == 0
    settings = {**empty, "AMQP_URL": NOBODY_AMQP, "MT5_PASSWORD": SECRET}

    done = run_command(*arguments, settings=settings, folder=folder, given="{}")

    _fails(done, 3)
    assert "rabbitmq" in done.said.lower()


@pytest.mark.parametrize(
    ("name", "arguments"), [("AMQP_URL", ("topology", "check")), ("POSTGRES_URL", ("db", "check"))]
)
def test_a_wrong_password_is_told_without_being_shown(
    folder: Path, empty: dict[str, str], name: str, arguments: tuple[str, ...]
) -> None:
    settings = {**empty, name: _with_password(empty[name], SECRET)}

    done = run_command(*arguments, settings=settings, folder=folder)

    assert done.code in {2, 3}, done.said
    assert SECRET not in done.said
    assert "Traceback" not in done.said
    assert re.search("password|authenticat|access|refused|log in|login", done.err.lower()), done.err


@pytest.mark.parametrize("arguments", [("db", "check"), ("run",), ("status",)])
def test_a_schema_that_is_behind_is_a_matter_of_configuration(
    services: Services, folder: Path, empty: dict[str, str], arguments: tuple[str, ...]
) -> None:
    name = f"behind_{secrets.token_hex(5)}"
    settings = {**empty, "POSTGRES_URL": services.new_database(name)}

    _fails(run_command(*arguments, settings=settings, folder=folder), 2, "db migrate")

    services.drop_database(name)


def test_a_virtual_host_without_the_topology_is_told(services: Services, folder: Path, empty: dict[str, str]) -> None:
    name = f"bare_{secrets.token_hex(5)}"
    settings = {**empty, "AMQP_URL": services.new_vhost(name)}

    _fails(run_command("topology", "check", settings=settings, folder=folder), 1, "trades")

    services.delete_vhost(name)


def test_migrating_twice_is_migrating_once(folder: Path, empty: dict[str, str]) -> None:
    first = run_command("db", "migrate", settings=empty, folder=folder)
    second = run_command("db", "migrate", settings=empty, folder=folder)

    assert (first.code, second.code) == (0, 0)
    assert run_command("db", "check", settings=empty, folder=folder).code == 0


def test_the_topology_is_exported_as_rabbitmqs_definitions(folder: Path) -> None:
    done = run_command("topology", "export", settings={}, folder=folder)

    assert done.code == 0, done.said
    definitions = done.json
    assert {"trades", "trades.dlx", "trades.unroutable", "executions", "executions.unrouted"} <= {
        one["name"] for one in definitions["exchanges"]
    }
    queues = {one["name"]: one for one in definitions["queues"]}
    assert {"trades.approved.main", "trades.dead", "trades.unroutable", "executions.unrouted"} <= queues.keys()
    assert queues["trades.approved.main"]["arguments"]["x-queue-type"] == "quorum"
    assert queues["trades.approved.main"]["arguments"]["x-single-active-consumer"] is True
    assert queues["trades.approved.main"]["arguments"]["x-dead-letter-exchange"] == "trades.dlx"
    assert all(one["durable"] for one in [*definitions["exchanges"], *queues.values()])
    rights = {one["user"]: one for one in definitions["permissions"]}
    assert rights["mt5-worker"]["configure"] == rights["rpm"]["configure"] == rights["rpm"]["read"] == "^$"
    assert not any(re.fullmatch(right, "executions") for right in (rights["rpm"]["write"], rights["rpm"]["read"]))


def test_the_schemas_are_exported_as_files_of_json(folder: Path) -> None:
    done = run_command("schema", "export", "documents", settings={}, folder=folder)

    assert done.code == 0, done.said
    exported = json.dumps([json.loads(file.read_text()) for file in folder.rglob("*.json")])
    assert "RPMOutput" in exported
    assert "ExecutionConfirmation" in exported


def test_the_version_is_told(folder: Path) -> None:
    done = run_command("--version", settings={}, folder=folder)

    assert done.code == 0
    assert re.search(r"\d+\.\d+\.\d+", done.out)


@pytest.mark.parametrize("arguments", [("fly",), ("run", "--fast"), ("dlq",), ("executions", "show"), ("halt",)])
def test_wrong_usage(folder: Path, arguments: tuple[str, ...]) -> None:
    done = run_command(*arguments, settings={}, folder=folder)

    assert done.code == 2
    assert "Traceback" not in done.said


def test_every_command_of_the_contract_is_there(folder: Path) -> None:
    done = run_command("--help", settings={}, folder=folder)

    assert done.code == 0
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", done.out), command
