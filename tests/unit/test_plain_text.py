"""What may stand in a log line, whatever a message or an error brings along."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from worker import observability
from worker.observability import KEPT_ERRORS, Alerts, configure_logging
from worker.plain_text import LONGEST_STACK, LONGEST_TEXT, SHORTEST_SECRET, Cleaner
from worker.settings import LogFormat, Settings

_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=8,
)
_ODD = "p:a@s%s/w?o#r d\"'\\ä{}[]\t"


def _cleaned(value: object, *secrets: str) -> Any:
    return Cleaner(secrets).clean(None, "info", {"event": "told", "logger": "worker.x", "field": value})["field"]


@given(value=_ANYTHING)
def test_whatever_a_field_holds_it_becomes_one_line_of_valid_json(value: object) -> None:
    line = json.dumps({"field": _cleaned(value)}, allow_nan=False)

    assert line.isprintable()
    assert json.loads(line).keys() == {"field"}


@given(text=st.text())
def test_no_text_steers_a_terminal(text: str) -> None:
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in _cleaned(text))


@given(secret=st.text(min_size=SHORTEST_SECRET), before=st.text(), after=st.text())
def test_no_form_of_a_secret_comes_through(secret: str, before: str, after: str) -> None:
    forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    if all(not "\ud800" <= character <= "\udfff" for character in secret):
        forms |= {quote(secret, safe=""), quote_plus(secret)}
    for form in forms:
        assert "***" in _cleaned({"deep": [before + form + after]}, secret)["deep"][0]


def test_a_field_is_cut_where_it_becomes_a_burden() -> None:
    assert _cleaned("x" * 10_000) == "x" * LONGEST_TEXT + "... (10000 characters)"
    stack = Cleaner().clean(None, "error", {"event": "told", "exception": "line\n" * 10_000})["exception"]
    assert LONGEST_STACK < len(stack) < LONGEST_STACK + 40
    assert stack.startswith("line\nline")


def test_every_password_among_the_settings_is_a_secret() -> None:
    settings = Settings(
        _env_file=None,
        amqp_url="amqp://user:p%40ss@host/",
        postgres_url="postgresql://user@host/db?sslmode=require&password=o%23dd",
        mt5_password="terminal",  # noqa: S106 - the kind of thing that is looked for
        mt5_sessions='{"a": {"password": "own"}, "b": {}}',
    )

    assert settings.secrets == {"p%40ss", "o%23dd", "terminal", "own"}


@pytest.fixture
def _logging_of_our_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test set logging up, and put back what was there."""
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in ("pika", "psycopg", "asyncio")}
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(observability, "ALERTS", Alerts())
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, kept in levels.items():
        logging.getLogger(name).setLevel(kept)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logging_of_our_own")
@pytest.mark.parametrize("log_format", list(LogFormat))
def test_a_line_stays_one_line_with_its_account_and_without_secrets(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    configure_logging("DEBUG", log_format, {_ODD}, "main")
    log = structlog.stdlib.get_logger("worker.tested")
    error = ValueError(f"cannot log in with {_ODD}\x1b[2J")

    log.warning("refused", detail=str(error), nested={"list": [error]}, url=f"amqp://u:{quote(_ODD)}@h/")
    log.error("failed", symbol="EUR\n\x1b]0;hidden\x07", exc_info=error)
    logging.getLogger("elsewhere").warning("a library said %s\nand more", error)

    said = capsys.readouterr().err
    assert _ODD not in said
    assert quote(_ODD) not in said
    assert "\x1b" not in said
    if log_format is LogFormat.JSON:
        parsed = [json.loads(line) for line in said.splitlines()]
        assert [one["account"] for one in parsed] == ["main"] * 3
        assert parsed[0]["detail"] == "cannot log in with ***\\x1b[2J"
        assert "ValueError: cannot log in with ***" in parsed[1]["exception"]


@pytest.mark.usefixtures("_logging_of_our_own")
def test_the_last_errors_are_kept_for_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    # Given a worker that has logged more errors than are kept, and lines that are none
    configure_logging("INFO", LogFormat.JSON, {"secret"})
    log = structlog.stdlib.get_logger("worker.tested")
    for number in range(KEPT_ERRORS + 5):
        log.error("write_refused", detail=f"number {number}: secret")
        log.info("trade_settled", detail="no error")
    log.warning("clock_alert", alert=True, why="ahead")

    # Then the report has the newest, last, each with its time and without its secrets
    kept = observability.ALERTS.last_errors()
    last_line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert len(kept) == KEPT_ERRORS
    assert kept[-1] == {"at": last_line["timestamp"], "event": "clock_alert", "detail": "ahead"}
    assert kept[-2]["detail"] == "number 14: ***"
    assert observability.ALERTS.report() == {"clock_alert": 1}
