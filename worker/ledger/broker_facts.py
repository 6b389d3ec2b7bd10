"""What canaries have measured of a broker, kept for the worker, for `doctor` and for whoever compares brokers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from worker.domain.broker_facts import BrokerFacts, StoredFacts
from worker.domain.errors import Refused
from worker.ledger.encoding import json_default
from worker.ledger.operators import Operator
from worker.ledger.statements import sql
from worker.settings import LEASE_SECONDS


async def store(desk: Operator, facts: BrokerFacts, *, account: str, by: str) -> None:
    """Keep a measurement."""
    stored = _stored(facts, by)
    text = json.dumps(asdict(facts), default=json_default)
    values = {**asdict(stored), "account": account, "facts": text}
    await desk.connection.execute(sql("insert_broker_facts"), values)


async def of_account(desk: Operator, account: str) -> Sequence[StoredFacts]:
    """Return the last measurement of each symbol of the login that the account's last canary flew on."""
    cursor = await desk.connection.execute(sql("last_broker_facts_of_account"), {"account": account})
    return [StoredFacts(**row) for row in await cursor.fetchall()]


async def insist_on_no_leader(desk: Operator, server: str, login: int) -> None:
    """Raise Refused while a worker leads the account of this login."""
    cursor = await desk.connection.execute(sql("leader_of_login"), {"server": server, "login": login})
    row = await cursor.fetchone()
    if row is not None and row["lease_age_seconds"] <= LEASE_SECONDS:
        raise Refused(
            f"worker {row['lease_holder']} leads account {row['account']}, which is this login, and trades on it: stop "
            "it first. Nothing was sent"
        )


def _stored(facts: BrokerFacts, by: str) -> StoredFacts:
    return StoredFacts(
        measured_at=facts.measured_at,
        measured_by=by,
        server=facts.venue.server,
        login=facts.venue.login,
        symbol=facts.symbol,
        history_lag=facts.lags.longest,
        keeps_magic=facts.keeps_magic,
        keeps_comment=facts.keeps_comment,
    )
