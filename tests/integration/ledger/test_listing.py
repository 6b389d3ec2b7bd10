"""Executions are found by what they are, however far back, and one trade's story by either of its names."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.ledger.conftest import OpenLedger
from tests.integration.ledger.stories import (
    NOON,
    RealClock,
    a_letter,
    a_message,
    a_refusal,
    a_trade,
    accepted,
    an_arrival,
    filled,
    rejected,
    written_ahead,
)
from worker.domain.errors import NotFound, Refused
from worker.domain.execution import OPEN, Execution, State
from worker.domain.trade import IdentityKind, TradeIdentity
from worker.ledger import listing
from worker.ledger.history import execution, stories
from worker.ledger.ledger import PostgresLedger
from worker.ledger.listing import ExecutionFilter, executions
from worker.ledger.operators import Operator, halt, operator

pytestmark = pytest.mark.services

ORDER, DEAL = 7001, 9001  # of the stories' broker


@pytest.fixture
async def desk(ledger_url: str) -> AsyncIterator[Operator]:
    async with operator(ledger_url, RealClock()) as desk:
        yield desk


async def _admitted(ledger: PostgresLedger, name: str, minutes: int, account: str = "main") -> Execution:
    arrival = an_arrival(a_trade(name, account=account))
    arrival = dataclasses.replace(arrival, received_at=NOON + timedelta(minutes=minutes))
    return (await ledger.admit(arrival)).execution


@pytest.fixture
async def ids(open_ledger: OpenLedger) -> dict[str, UUID]:
    """Fill a ledger: A filled, B rejected, C in flight, D of another account, each a minute after the one before it."""
    main, other = await open_ledger("main", "host:1"), await open_ledger("other", "host:2")
    sent = await main.record(accepted(await main.record(written_ahead(await _admitted(main, "RPM-A", 0)))))
    done = [
        await main.record(filled(sent, DEAL)),
        await main.record(rejected(await _admitted(main, "RPM-B", 1))),
        await _admitted(main, "RPM-C", 2),
        await _admitted(other, "RPM-D", 3, "other"),
    ]
    return {one.trade.identity.trade_id[-1]: one.execution_id for one in done}


async def test_every_filter_finds_its_own_the_newest_first(
    ids: dict[str, UUID], desk: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _find_all(ids, desk)
    monkeypatch.setattr(listing, "STRETCH", 1)
    await _find_all(ids, desk)


async def _find_all(ids: dict[str, UUID], desk: Operator) -> None:
    async def listed(limit: int = 10, **wanted: Any) -> str:
        return "".join(line.trade_id[-1] for line in await executions(desk, ExecutionFilter(**wanted), limit))

    assert await listed() == "DCBA"
    assert await listed(2) == "DC"
    assert await listed(account="main") == "CBA"
    assert await listed(states=[State.REJECTED, State.FILLED]) == "BA"
    assert await listed(states=sorted(OPEN), account="main") == "C"
    assert await listed(reason="market_closed", symbol="EURUSD") == "B"
    assert await listed(symbol="USDJPY") == ""
    assert await listed(since=NOON + timedelta(minutes=1), until=NOON + timedelta(minutes=3)) == "CB"
    assert await listed(text="rpm-") == "DCBA"
    assert await listed(text="RPM-B") == "B"
    assert await listed(text="RPM-B", states=[State.FILLED]) == ""
    assert await listed(order=ORDER) == "A"
    assert await listed(deal=DEAL) == "A"
    assert await listed(deal=DEAL + 1) == ""
    assert await listed(order=ORDER, deal=DEAL, text="RPM-A", states=[State.FILLED]) == "A"
    assert await listed(order=ORDER + 1, deal=DEAL) == ""
    assert await listed(order=ORDER, text="RPM-B") == ""
    assert await listed(2, after=ids["D"]) == "CB"
    assert await listed(after=ids["B"]) == "A"
    with pytest.raises(NotFound, match="to go on behind"):
        await listed(after=uuid4())


async def test_of_arrivals_at_the_same_moment_none_is_lost_between_two_pages(
    ledger: PostgresLedger, desk: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "STRETCH", 2)
    for number in range(5):
        await _admitted(ledger, f"RPM-{number}", 0)

    pages: list[Sequence[str]] = []
    after: UUID | None = None
    while page := await executions(desk, ExecutionFilter(after=after), 2):
        pages.append([line.trade_id for line in page])
        after = page[-1].execution_id

    assert pages == [["RPM-4", "RPM-3"], ["RPM-2", "RPM-1"], ["RPM-0"]]


async def test_several_trades_of_the_same_name_have_a_story_each(ledger: PostgresLedger, desk: Operator) -> None:
    # Given an order id of one trade that is another one's message id
    await ledger.admit(an_arrival(a_trade("42")))
    by_message = dataclasses.replace(
        a_trade(None, units="5"), identity=TradeIdentity(IdentityKind.MESSAGE_ID, "42"), body_digest="another"
    )
    await ledger.admit(an_arrival(by_message))

    kinds = {told.execution.trade.identity.kind for told in await stories(desk, "42")}

    assert kinds == {IdentityKind.ORDER_ID, IdentityKind.MESSAGE_ID}
    with pytest.raises(Refused, match="several trades have the id 42"):
        await execution(desk, "42")


async def test_a_refused_message_is_pointed_out_as_what_it_is(ledger: PostgresLedger, desk: Operator) -> None:
    refusal = a_refusal(a_message(body=b"{"))
    await ledger.refuse(refusal)
    letter = dataclasses.replace(a_letter(refusal.message), execution_id=refusal.execution_id)
    await ledger.take_in(letter, None)

    with pytest.raises(NotFound, match=f"refused as malformed_json .*mt5-worker dlq show {letter.letter_id}"):
        await execution(desk, str(refusal.execution_id))


async def test_what_happened_to_the_account_belongs_to_the_story_of_who_was_under_way(
    ledger: PostgresLedger, desk: Operator
) -> None:
    over = await ledger.record(rejected(await _admitted(ledger, "RPM-A", 0)))
    waiting = await _admitted(ledger, "RPM-B", 1)
    await halt(desk, "main", reason="news", by="ann")

    kinds = [event.kind for event in (await execution(desk, str(waiting.execution_id))).meanwhile]

    assert "halted" in kinds
    assert (await execution(desk, str(over.execution_id))).meanwhile == []
