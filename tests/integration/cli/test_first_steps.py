"""From nothing to a worker that could start: what is missing is told, and made."""

from __future__ import annotations

import pytest

from tests.fixtures.rpm import RPM
from tests.integration.cli.conftest import Desk

pytestmark = pytest.mark.services

NOBODY = "127.0.0.1:9"


def test_the_doctor_sees_what_is_missing_until_all_is_there(bare: Desk) -> None:
    # Given an empty database and an empty virtual host
    assert bare.say("db", "check").code == 2
    missing = bare.say("topology", "check")
    assert missing.code == 1
    assert "trades.approved.main" in missing.err

    # When the doctor is asked
    told = bare.say("doctor")

    # Then it says what to run
    assert told.code == 1
    assert "`mt5-worker db migrate`" in " ".join(told.out.split())
    assert "`mt5-worker topology declare`" in " ".join(told.out.split())

    # And when that is run, all is well
    assert "applied" in bare.say("db", "migrate").out
    assert "up to date" in bare.say("db", "migrate").out
    assert bare.say("db", "check").code == 0
    assert bare.say("topology", "declare").code == 0
    assert bare.say("topology", "check").code == 0
    cured = bare.say("doctor", "--json")
    assert cured.code == 0, cured.out
    assert {one["check"] for one in cured.json} >= {"settings", "PostgreSQL", "ledger", "RabbitMQ", "terminal", "clock"}
    assert {one["verdict"] for one in cured.json} <= {"ok", "warn"}


@pytest.mark.parametrize("name", ["AMQP_URL", "POSTGRES_URL"])
def test_the_doctor_cannot_reach_a_service(bare: Desk, name: str) -> None:
    scheme = "amqp" if name == "AMQP_URL" else "postgresql"

    told = bare.say("doctor", **{name: f"{scheme}://me:secret@{NOBODY}/x"})

    assert told.code == 3
    assert "out of reach" in told.out
    assert "secret" not in told.out + told.err


def test_the_doctor_names_a_missing_right(bare: Desk) -> None:
    rpm = RPM(bare.settings["AMQP_URL"])
    bare.say("topology", "declare")
    rpm.do(lambda channel: channel.exchange_delete("executions"))
    rpm.close()

    rights = next(one for one in bare.say("doctor", "--json").json if one["check"] == "RabbitMQ rights")

    assert rights["verdict"] == "fail"
    assert "executions" in rights["detail"]


def test_before_any_worker_has_run_there_is_no_account(bare: Desk) -> None:
    bare.say("db", "migrate")

    assert bare.say("status", "--json").json == []
    assert "no worker has run" in bare.say("status").out
    assert bare.say("executions", "list", "--json").json == []
    assert "no execution fits" in bare.say("executions", "list").out
    halted = bare.say("halt", "--reason", "odd")
    assert halted.code == 1
    assert "no account main" in halted.err


def test_publishing_to_a_virtual_host_without_exchange_fails(bare: Desk) -> None:
    rpm = RPM(bare.settings["AMQP_URL"])
    rpm.do(lambda channel: channel.exchange_delete("trades"))
    rpm.close()

    done = bare.say("publish", "-", given="{}")

    assert done.code == 1
    assert "topology check" in done.err
