"""Health, metrics and logs of the real worker: what monitoring sees is what the ledger holds, whatever goes away."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from ops.services import Services
from ops.services.places import free_port
from tests.acceptance.desk import Desk, eventually, open_desk
from tests.acceptance.runs import trades
from tests.fixtures.rpm import approval, changed, rejection
from tests.fixtures.scrape import Scraper
from tests.fixtures.worker_process import WorkerProcess, run_command

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

PASSWORDS = {
    "AMQP_URL": "r:a@b%s/w?o#r d'\\{}",
    "POSTGRES_URL": "p@s/s:w%o?r#d \"'\\ä",
    "MT5_PASSWORD": "m$t 5'\"\\%41",
}
HELD = "ledger.commit.before.expired.settled"  # only the story of the frozen loop has a trade that expires
MISSED = {
    "rabbitmq": ("rabbitmq", "RabbitMQ is not reached"),
    "postgres": ("postgresql", "PostgreSQL does not answer"),
}

Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def desk(own_services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Open a desk whose passwords are as odd as passwords may be, and whose log tells everything."""
    folder: Path = tmp_path_factory.mktemp("monitoring")
    with open_desk(
        _with_odd_rabbitmq_user(own_services),
        _with_odd_postgres_user(own_services),
        folder,
        MT5_PASSWORD=PASSWORDS["MT5_PASSWORD"],
        HTTP_PORT=str(free_port()),
        LOG_LEVEL="DEBUG",
        MAX_SLIPPAGE_PIPS_BY_SYMBOL='{"EURUSD.slip": 2}',
        FAILPOINTS=f"{HELD}=hold",
        FAILPOINTS_LOG=str(folder / "points"),
    ) as desk:
        yield desk


@pytest.fixture
def seen(desk: Desk) -> Scraper:
    return Scraper(int(desk.settings["HTTP_PORT"]))


def _with_odd_rabbitmq_user(services: Services) -> str:
    parts = urlsplit(services.new_vhost("monitoring"))
    management = urlsplit(services.rabbitmq.management_url or "")
    user, anything = {"name": "odd", "password": PASSWORDS["AMQP_URL"], "tags": "administrator"}, ".*"
    rights = {"user": "odd", "vhost": "monitoring", "configure": anything, "write": anything, "read": anything}
    login = base64.b64encode(f"{management.username}:{management.password}".encode()).decode()
    request = urllib.request.Request(
        f"http://{management.hostname}:{management.port}/api/definitions",
        data=json.dumps({"users": [user], "permissions": [rights]}).encode(),
        headers={"authorization": f"Basic {login}", "content-type": "application/json"},
        method="POST",
    )
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - our own node
    password = quote(PASSWORDS["AMQP_URL"], safe="")
    return urlunsplit(parts._replace(netloc=f"odd:{password}@{parts.hostname}:{parts.port}"))


def _with_odd_postgres_user(services: Services) -> str:
    url = services.new_database("monitoring")
    parts, password = urlsplit(url), PASSWORDS["POSTGRES_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("create role odd superuser login password {}").format(sql.Literal(password)))
    return urlunsplit(parts._replace(netloc=f"odd:{quote(password, safe='')}@{parts.hostname}:{parts.port}"))


def _ledger(desk: Desk, question: str) -> Rows:
    with psycopg.connect(desk.settings["POSTGRES_URL"]) as connection:
        return connection.execute(question).fetchall()


def _counts(desk: Desk, question: str) -> dict[tuple[Any, ...], int]:
    return {tuple(row[:-1]): int(row[-1]) for row in _ledger(desk, question)}


def test_metrics_say_what_the_ledger_says(desk: Desk, seen: Scraper) -> None:
    # Given a run of trades of every kind, messages that are none, and one that is told of twice, differently
    sent = [desk.publish(message) for message in trades(20)]
    sent += [desk.publish(approval("EURUSD.slip", 5_000.0)), desk.publish(rejection())]
    sent += [desk.publish(approval("EURUSD.wide", 5_000.0)), desk.publish(approval("EURUSD.disabled", 5_000.0))]
    desk.publish(b"{")
    desk.publish(changed(approval(), "decision.approved_trade.direction", 7))
    desk.publish(changed(sent[0].message, "decision.approved_trade.position_units", 1.0))
    # And one that is open
    pending = desk.publish(approval("EURUSD.pending", 5_000.0))
    for one in sent:
        desk.confirmation(one)
    waiting = "select reason, count(*) from ledger.dead_letters where state in ('new', 'failed_again') group by reason"
    eventually(lambda: sum(_counts(desk, waiting).values()) >= 3, "the dead letters are not taken in")
    eventually(lambda: seen.by("dead_letters", "reason") == _counts(desk, waiting), "the dead letters are not seen")
    eventually(lambda: seen.by("in_flight", "state") == {("accepted",): 1}, "the open trade is not seen")
    eventually(lambda: seen.value("outbox_messages") == 0, "the outbox does not get empty")

    # Then every figure is the ledger's
    first = "from ledger.confirmations c join ledger.executions using (execution_id) where c.version = 1"
    said = "convert_from(c.body, 'UTF8')::jsonb"
    told = f"select c.status, coalesce({said}->>'rejection_reason', ''), count(*) {first} group by 1, 2"
    assert seen.by("trades_total", "status", "reason") == _counts(desk, told)
    exceeded = f"select count(*) from ledger.confirmations c where ({said}->>'slippage_exceeded')::bool"  # noqa: S608 - ours
    assert [(seen.value("slippage_exceeded_total"),)] == _ledger(desk, exceeded) != [(0,)]
    slipped = f"select count(*) from ledger.confirmations c where {said}->>'slippage_pips' is not null"  # noqa: S608 - ours
    assert [(seen.value("slippage_pips_count"),)] == _ledger(desk, slipped)
    refused = "select reason, count(*) from ledger.refusals group by reason"
    assert seen.by("refused_messages_total", "reason") == _counts(desk, refused)
    assert [(seen.value("unresolved"),)] == _ledger(desk, "select count(*) from ledger.executions where is_unresolved")
    assert seen.value("oldest_open_seconds") > 0 < seen.value("oldest_dead_letter_seconds")
    # And the stages of each trade were timed, the parts never longer than the whole
    ended = sum(seen.by("trades_total", "status", "reason").values())
    eventually(lambda: seen.value("stage_seconds_count", stage="whole") == ended, "not all publications are timed")
    assert seen.value("stage_seconds_count", stage="publication") == ended
    assert seen.value("stage_seconds_count", stage="intake") == ended + 1
    filled = seen.value("stage_seconds_count", stage="fill")
    assert 0 < filled == seen.value("stage_seconds_count", stage="settlement") < ended
    parts = sum(seen.value("stage_seconds_sum", stage=stage) for stage in ("validation", "publication"))
    assert parts <= seen.value("stage_seconds_sum", stage="whole")
    assert seen.value("commit_jobs_sum") >= seen.value("commit_seconds_count") > 0
    assert seen.value("terminal_call_seconds_count", call="submit") >= filled
    # And the standing is that of a worker at work
    for name, expected in {"lease_held": 1, "halted": 0, "halted_symbols": 0, "ready": 1, "lease_epoch": 1}.items():
        assert seen.value(name) == expected, name
    assert seen.by("terminal_up", "session") == {("main",): 1}
    assert seen.by("connected", "service") == {("rabbitmq",): 1, ("postgresql",): 1}
    assert seen.by("info", "backend") == {("simulated",): 1}
    # And when the open one ends, it counts as the others do
    desk.broker.deal(desk.book.traded("EURUSD.pending")[0].ticket)
    desk.confirmation(pending)
    assert sum(seen.by("trades_total", "status", "reason").values()) == ended + 1
    eventually(lambda: not seen.by("in_flight", "state"), "its end is not seen")


def test_metrics_are_as_prometheus_wants_them(seen: Scraper) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")

    done = subprocess.run(
        [promtool, "check", "metrics"], input=seen.text, capture_output=True, text=True, timeout=30, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("service", ["rabbitmq", "postgres"])
def test_a_service_that_is_away_is_seen_and_no_secret_is_told(
    desk: Desk, own_services: Services, seen: Scraper, service: str
) -> None:
    name, missing = MISSED[service]
    eventually(lambda: seen.ready.status == 200, "the worker is not ready")
    before, gone = seen.value("reconnects_total", service=name), getattr(own_services, service)

    # When the service goes away
    gone.stop()
    try:
        # Then the worker lives, is not ready, and says why
        eventually(lambda: missing in seen.ready.json["missing"], "nobody misses it")
        assert (seen.ready.status, seen.live.status) == (503, 200)
        assert (seen.value("connected", service=name), seen.value("ready")) == (0, 0)
    finally:
        gone.restart()
    # And when it comes back, all is well again
    eventually(lambda: seen.ready.status == 200, "the worker does not get ready again", 40)
    assert seen.ready.json == {"ready": True, "missing": []}
    assert seen.value("connected", service=name) == 1
    assert seen.value("reconnects_total", service=name) > before
    _expect_a_clean_log(desk.worker.log)


def test_a_terminal_that_cannot_trade_is_seen(desk: Desk, seen: Scraper) -> None:
    eventually(lambda: seen.ready.status == 200, "the worker is not ready")

    with desk.broker.disconnected():
        eventually(lambda: seen.ready.status == 503, "nobody misses the terminal")
        [missing] = seen.ready.json["missing"]
        assert missing.startswith("terminal session main: ")
        assert (seen.live.status, seen.value("terminal_up", session="main")) == (200, 0)

    eventually(lambda: seen.ready.status == 200, "the worker does not get ready again")


def test_a_standby_lives_and_says_for_whom_it_stands_by(desk: Desk, seen: Scraper) -> None:
    folder, port = desk.folder / "standby", free_port()
    folder.mkdir()
    second = WorkerProcess({**desk.settings, "HTTP_PORT": str(port), "FAILPOINTS": "", "FAILPOINTS_LOG": ""}, folder)
    waiting = Scraper(port)
    second.start()
    try:
        eventually(lambda: "standing_by" in second.log, "the second worker does not stand by")
        assert (waiting.live.status, waiting.ready.status) == (200, 503)
        [missing] = waiting.ready.json["missing"]
        assert missing.startswith("standby of ")
        assert missing.endswith(f":{desk.worker.pid}")
        assert waiting.value("lease_held") == waiting.value("ready") == 0
        assert not waiting.by("in_flight", "state")
        assert seen.value("lease_held") == 1
        assert second.stop() == 0
    finally:
        second.end()


def test_a_frozen_loop_is_told_by_a_thread_that_is_not(desk: Desk, seen: Scraper) -> None:
    go = desk.folder / "points.go"
    try:
        # When the event loop stands still, in the middle of a trade's end
        sent = desk.publish(approval(age=3_600))
        eventually(lambda: seen.live.status == 503, "nobody notices")

        # Then both answers say so
        assert "the event loop has stood still for" in seen.live.json["reason"]
        assert "the event loop stands still" in seen.ready.json["missing"]
        assert seen.value("loop_lag_seconds") > 4
    finally:
        go.touch()
    # And when it goes on, so does everything
    assert desk.confirmation(sent).outcome == ("expired", "approval_expired")
    eventually(lambda: seen.ready.status == 200, "the worker does not get ready again", 40)


def test_every_line_about_a_trade_names_it(desk: Desk) -> None:
    done, refused = desk.publish(approval("EURUSD", 7_000.0)), desk.publish(changed(approval(), "rpm_version", 7))
    executions = {desk.confirmation(one)["execution_id"] for one in (done, refused)}
    lines: list[dict[str, Any]] = []

    def are_written() -> bool:  # a confirmation may leave before the line that tells of it
        lines[:] = [line for line in desk.worker.events if line.get("execution_id") in executions]
        return {line["event"] for line in lines} >= {"trade_settled", "message_refused", "terminal_called"}

    eventually(are_written, "not every event is told")
    for line in lines:
        assert line["account"] == "main"
        assert line["trade_id"] in {done.trade_id, refused.trade_id}, line
    assert all("trade_id" in line for line in desk.worker.events if line.get("execution_id"))


def test_a_port_that_is_taken_is_told_before_anything_begins(desk: Desk) -> None:
    done = desk.command("run")

    assert done.code == 2
    assert done.err.startswith(f"HTTP_PORT: nothing can be served at 127.0.0.1:{desk.settings['HTTP_PORT']} (")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("name", ["AMQP_URL", "POSTGRES_URL"])
def test_a_refused_login_shows_no_password(desk: Desk, name: str) -> None:
    wrong = desk.settings[name].replace("odd:", "nobody:")

    done = run_command("run", settings={**desk.settings, name: wrong, "HTTP_PORT": "0"}, folder=desk.folder)

    assert done.code == 3, done.said
    assert "nobody" in done.said
    _expect_no_secret(done.said)


def _expect_a_clean_log(log: str) -> None:
    _expect_no_secret(log)
    for line in log.splitlines():
        assert json.loads(line)["account"] == "main"


def _expect_no_secret(said: str) -> None:
    forms: tuple[Callable[[str], str], ...] = (
        str,
        lambda secret: quote(secret, safe=""),
        quote,
        lambda secret: json.dumps(secret)[1:-1],
        lambda secret: repr(secret)[1:-1],
    )
    for name, secret in PASSWORDS.items():
        for form in forms:
            assert form(secret) not in said, name
