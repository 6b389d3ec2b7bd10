"""What a message is read into."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.canonical import body_digest
from schemas.strict_json import parse
from worker.domain.message import IncomingMessage
from worker.domain.trade import NO_DIGEST, IdentityKind
from worker.pipeline.intake import read_trade

_EXAMPLE = json.loads((Path(__file__).parents[3] / "schemas/examples/rpm-output.approved.json").read_text())


def a_message(order_id: str | None, message_id: str | None) -> IncomingMessage:
    body = json.dumps(_EXAMPLE | {"decision": _EXAMPLE["decision"] | {"order_id": order_id}}).encode()
    return IncomingMessage(body, routing_key="approved.main.EURUSD", message_id=message_id)


@pytest.mark.parametrize("message_id", [None, "M-1"])
def test_a_message_without_an_order_id_is_known_by_its_body_too_and_one_with_it_by_that_alone(
    message_id: str | None,
) -> None:
    named, nameless = a_message("A-1", message_id), a_message(None, message_id)

    trade = read_trade(named, "main", datetime.now(UTC))
    assert (trade.identity.kind, trade.identity.trade_id) == (IdentityKind.ORDER_ID, "A-1")
    assert trade.body_digest == NO_DIGEST

    trade = read_trade(nameless, "main", datetime.now(UTC))
    digest = body_digest(parse(nameless.body))
    assert trade.body_digest == digest
    assert trade.identity.trade_id == (message_id or digest)
