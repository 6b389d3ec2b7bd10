"""Refused messages, dead letters, and trying them again: told once, stored once, replayed once."""

from __future__ import annotations

import random
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.integration.ledger.stories import (
    RealClock,
    a_letter,
    a_message,
    a_refusal,
    a_trade,
    an_arrival,
    redelivered,
)
from worker.domain.message import MessageKind
from worker.ledger.desk import LetterFilter, dead_letter, dead_letters
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import operator

pytestmark = pytest.mark.services


async def test_a_refused_message_leaves_a_dead_letter_a_confirmation_and_a_copy_for_its_sender(
    ledger: PostgresLedger,
) -> None:
    await ledger.refuse(a_refusal(a_message(body=b"\x00{", reply_to="desk", correlation_id="c-1")))

    messages = [row.message for row in await ledger.outbox.pending(10)]
    assert [m.kind for m in messages] == [MessageKind.DEAD_LETTER, MessageKind.CONFIRMATION, MessageKind.REPLY]
    assert (messages[0].body, messages[2].routing_key, messages[2].correlation_id) == (b"\x00{", "desk", "c-1")


async def test_a_huge_message_is_refused_like_any_other(ledger: PostgresLedger) -> None:
    huge = random.Random(1).randbytes(20 * 1024 * 1024)  # noqa: S311 - not a secret, only nothing that compresses

    await ledger.refuse(a_refusal(a_message(body=huge), "message_too_large"))

    (dead, _) = await ledger.outbox.pending(10)
    assert dead.message.body == huge


async def test_a_redelivery_of_a_refused_message_adds_nothing_but_a_second_message_does(
    ledger: PostgresLedger,
) -> None:
    message = a_message(body=b"{")
    await ledger.refuse(a_refusal(message))
    once = len(await ledger.outbox.pending(10))

    await ledger.refuse(a_refusal(redelivered(message)))
    assert len(await ledger.outbox.pending(10)) == once

    await ledger.refuse(a_refusal(message))
    assert len(await ledger.outbox.pending(10)) == 2 * once


async def test_a_dead_letter_is_stored_once_and_comes_back_byte_for_byte(
    ledger: PostgresLedger, ledger_url: str
) -> None:
    letter = a_letter(a_message(body=b"\xff\x00", message_id="m-1", headers={"traceparent": "00-1"}))

    assert await ledger.take_in(letter, None)
    assert not await ledger.take_in(letter, None)

    async with operator(ledger_url, RealClock()) as desk:
        (line,) = await dead_letters(desk, LetterFilter(reasons=["malformed_json"], states=["new"]), 10)
        stored = await dead_letter(desk, line.id)
    assert (line.id, line.account, stored.message) == (letter.letter_id, "main", letter.message)
    assert stored.headers == {"failure-reason": "malformed_json"}


async def test_a_letter_without_an_id_of_its_own_is_recognised_when_it_is_redelivered(ledger: PostgresLedger) -> None:
    letter = replace(a_letter(a_message()), content_digest="abc")
    await ledger.take_in(letter, None)

    second = replace(letter, letter_id=uuid4())
    again = replace(second, message=redelivered(letter.message))

    assert not await ledger.take_in(again, None)
    assert await ledger.take_in(second, None)


async def test_the_sender_of_a_message_that_rabbitmq_gave_up_is_told_unless_the_trade_is_known(
    ledger: PostgresLedger,
) -> None:
    known, unknown = a_message(message_id="m-known"), a_message(message_id="m-lost")
    await ledger.admit(an_arrival(a_trade("RPM-1"), known))

    await ledger.take_in(a_letter(known), replace(a_refusal(known, "delivery_limit"), trade_id="RPM-1"))
    assert await ledger.outbox.pending(10) == []

    await ledger.take_in(a_letter(unknown), a_refusal(unknown, "delivery_limit"))
    kinds = [row.message.kind for row in await ledger.outbox.pending(10)]
    assert MessageKind.CONFIRMATION in kinds
