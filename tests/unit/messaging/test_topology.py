"""The topology as data keeps the promises of the contract, and its export too."""

import base64
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.messaging.definitions import definitions, users
from worker.messaging.topology import (
    TRADES_DEAD,
    TRADES_PARKED,
    TRADES_UNROUTABLE,
    account_of_queue,
    account_of_routing_key,
    approved_queue,
    topology,
)

accounts = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


def arguments_of(queue: str) -> dict[str, object]:
    return next(dict(found.arguments) for found in topology(["main"]).queues if found.name == queue)


def test_trades_wait_in_a_quorum_queue_with_one_consumer_and_a_safe_way_out() -> None:
    arguments = arguments_of("trades.approved.main")

    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-single-active-consumer"] is True
    assert arguments["x-dead-letter-exchange"] == "trades.dlx"
    assert (arguments["x-dead-letter-strategy"], arguments["x-overflow"]) == ("at-least-once", "reject-publish")
    assert arguments["x-delivery-limit"] == 1000


@pytest.mark.parametrize("queue", [TRADES_DEAD, TRADES_UNROUTABLE, TRADES_PARKED])
def test_nothing_ever_falls_out_of_the_last_queues(queue: str) -> None:
    arguments = arguments_of(queue)

    assert arguments == {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000}


def test_unrouted_confirmations_are_bounded_and_the_oldest_go_first() -> None:
    arguments = arguments_of("executions.unrouted")

    assert arguments["x-overflow"] == "drop-head"
    assert {"x-max-length", "x-max-length-bytes"} <= set(arguments)


@given(st.lists(accounts, unique=True, max_size=4))
def test_every_binding_joins_things_that_exist(names: list[str]) -> None:
    wanted = topology(names)
    exchanges, queues = {found.name for found in wanted.exchanges}, {found.name for found in wanted.queues}

    assert all(binding.exchange in exchanges and binding.queue in queues for binding in wanted.bindings)
    assert {binding.queue for binding in wanted.bindings} == queues - {TRADES_PARKED}  # the worker names it itself
    alternates = [found.arguments.get("alternate-exchange") for found in wanted.exchanges]
    assert {alternate for alternate in alternates if alternate} <= exchanges


@given(accounts)
def test_a_queue_tells_its_account(account: str) -> None:
    assert account_of_queue(approved_queue(account)) == account
    assert account_of_routing_key(f"approved.{account}.EURUSD.partial") == account
    assert account_of_routing_key(f"approved.{account}") == account


def test_other_names_tell_no_account() -> None:
    assert account_of_queue("trades.dead") is None
    assert account_of_routing_key("") is None
    assert account_of_routing_key("approved") is None
    assert account_of_routing_key("approved..EURUSD") is None
    assert account_of_routing_key("rejected.main.EURUSD") is None


def test_the_export_is_json_and_holds_no_password() -> None:
    exported = json.dumps(definitions(["main"], passwords={"rpm": "s3cret"}))

    assert "s3cret" not in exported


def test_a_password_leaves_as_rabbitmqs_salted_hash() -> None:
    found = {user["name"]: user for user in definitions(["main"], passwords={"rpm": "s3cret"})["users"]}

    salted = base64.b64decode(found["rpm"]["password_hash"])
    assert salted[4:] == hashlib.sha256(salted[:4] + b"s3cret").digest()
    assert found["mt5-worker"]["password_hash"] == ""


def test_rights_name_whole_names() -> None:
    worker = next(user for user in users(["main"]) if user.name == "mt5-worker")

    assert re.search(worker.read, "trades.approved.main")
    assert not re.search(worker.read, "trades.approved.main2")
    assert not re.search(worker.read, "trades-approved.main")
    assert not re.search(worker.configure, "anything")
    assert re.search(worker.write, "amq.default")
    assert not re.search(worker.write, "executions.unrouted")
