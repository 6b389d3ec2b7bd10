"""One account, one worker at a time; one login, one account."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.integration.ledger.conftest import OpenLedger
from tests.integration.ledger.stories import NOON, RealClock, a_trade, an_arrival
from worker.domain.errors import LeaseLost, WrongSetting
from worker.domain.token import namespace_of
from worker.ledger import silence
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import operator
from worker.ledger.status import status
from worker.ports import Watermark

pytestmark = pytest.mark.services


async def test_a_standby_waits_while_the_holder_renews_and_takes_over_when_it_releases(
    ledger_url: str, open_ledger: OpenLedger
) -> None:
    leader = await open_ledger(worker_id="host:1")
    holders: list[str] = []
    standby = await PostgresLedger.open(ledger_url, account="main", worker_id="host:2", clock=RealClock())
    taking = asyncio.create_task(standby.lead(holders.append))
    renewing = asyncio.create_task(leader.lease.keep(dict))

    await asyncio.sleep(1.2)  # time itself is the subject: a live holder is not replaced
    assert holders == ["host:1"]
    assert not taking.done()

    renewing.cancel()
    await leader.close()
    await taking
    assert (await standby.admit(an_arrival())).execution.account == "main"
    await standby.close()


async def test_a_standby_takes_over_from_a_holder_that_has_gone_silent_and_fences_it_out(
    ledger_url: str, open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = asyncio.Event()
    silent = await open_ledger(worker_id="host:1", on_lease_lost=lost.set)

    monkeypatch.setattr(silence, "LEASE_SECONDS", 0.8)
    standby = await PostgresLedger.open(ledger_url, account="main", worker_id="host:2", clock=RealClock())
    await standby.lead()

    with pytest.raises(LeaseLost, match=r"another worker has taken over account main: this one \(host:1, epoch 1\)"):
        await silent.admit(an_arrival())
    assert lost.is_set()
    await standby.admit(an_arrival())
    await standby.close()


async def test_what_the_worker_reports_is_what_status_shows(ledger: PostgresLedger, ledger_url: str) -> None:
    await ledger.lease.bind("simulated", "Simulated-1", 1001)
    await ledger.admit(an_arrival(a_trade("A")))
    await ledger.lease.renew({"terminal": "connected", "waiting": 2})

    async with operator(ledger_url, RealClock()) as desk:
        seen = await status(desk, "main")

    assert seen.worker_report == {"terminal": "connected", "waiting": 2}
    assert (seen.lease_holder, seen.lease_epoch, seen.login, seen.halt) == ("host:1", 1, 1001, None)
    assert seen.lease_age_seconds is not None
    assert 0 <= seen.lease_age_seconds < 60
    assert (seen.executions_by_state, seen.outbox_size, seen.outbox_age_seconds) == ({"received": 1}, 0, None)


async def test_renewing_goes_on_while_the_account_is_bound(ledger: PostgresLedger) -> None:
    await asyncio.gather(
        *(ledger.lease.renew({"turn": turn}) for turn in range(10)),
        *(ledger.lease.bind("simulated", "Simulated-1", 1001) for _ in range(10)),
    )


async def test_an_account_is_bound_to_its_login_for_ever(open_ledger: OpenLedger) -> None:
    first = await open_ledger()
    await first.lease.bind("simulated", "Simulated-1", 1001)
    await first.lease.bind("simulated", "Simulated-1", 1001)

    with pytest.raises(WrongSetting, match=r"is login 1001 at Simulated-1 \(simulated\), but the terminal is login 7"):
        await first.lease.bind("native", "Broker-Live", 7)


async def test_a_login_belongs_to_one_account_of_the_ledger(open_ledger: OpenLedger) -> None:
    await (await open_ledger("main")).lease.bind("simulated", "Simulated-1", 1001)
    other = await open_ledger("other", "host:2")

    with pytest.raises(WrongSetting, match="login 1001 at Simulated-1 is account main of this ledger, not other"):
        await other.lease.bind("simulated", "Simulated-1", 1001)


async def test_another_copy_of_the_database_halts_the_account_and_takes_tokens_from_a_new_namespace(
    open_ledger: OpenLedger, database: Connection
) -> None:
    first = await open_ledger()
    old_tokens = first.namespaces
    await first.close()
    # Given a database that was restored: it is on another timeline than the one the account was written in
    await database.execute("update ledger.accounts set timeline = '000000FF'")
    await database.execute("update ledger.namespaces set timeline = '000000FF'")

    second = await open_ledger()

    assert "the database is another copy than before (timeline 000000FF -> 00000001" in str(second.halts.account)
    assert old_tokens < second.namespaces
    cursor = await database.execute("select kind, actor from ledger.audit_events order by sequence desc limit 3")
    kinds = [row["kind"] for row in await cursor.fetchall()]
    assert kinds == ["halted", "alert", "database_recognised"]


async def test_accounts_of_one_database_share_its_namespace(open_ledger: OpenLedger) -> None:
    main, other = await open_ledger("main"), await open_ledger("other", "host:2")

    assert main.namespaces == other.namespaces
    assert len(main.namespaces) == 1


async def test_how_far_deals_were_compared_outlives_the_worker_and_never_goes_back(open_ledger: OpenLedger) -> None:
    first = await open_ledger()
    assert first.watermark == Watermark()
    first.compared(Watermark(NOON, 9001))
    first.compared(Watermark(NOON - timedelta(hours=1)))
    first.compared(Watermark(None, 8000))
    await first.lease.renew({})
    second = await open_ledger("other", "host:2")
    await first.close()

    third = await open_ledger(worker_id="host:3")

    assert third.watermark == Watermark(NOON, 9001)
    assert second.watermark == Watermark()
    third.compared(Watermark(NOON + timedelta(hours=1)))
    await third.close()
    assert (await open_ledger()).watermark == Watermark(NOON + timedelta(hours=1), 9001)


async def test_going_back_to_a_copy_of_the_database_that_was_used_before_begins_a_namespace_too(
    open_ledger: OpenLedger, database: Connection
) -> None:
    # Given a database whose tokens came from another copy for a while
    first = await open_ledger()
    own = first.namespaces
    await first.close()
    await database.execute(
        "insert into ledger.namespaces (number, namespace, system_identifier, timeline, storage)"
        " values (2, 4711, 'other', '1', '1/1')"
    )

    again = await open_ledger()

    assert len(again.namespaces - own - {4711}) == 1
    assert namespace_of((await again.admit(an_arrival())).execution.token) not in own | {4711}
