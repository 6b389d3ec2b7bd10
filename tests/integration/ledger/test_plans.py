"""What a look-up costs does not grow with the ledger, even if PostgreSQL planned it while the ledger was empty."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.sql import SQL, Identifier, Literal

from worker.ledger.connection import WORKER_SESSION, Connection, connect
from worker.ledger.statements import numbered

pytestmark = pytest.mark.services

ROWS = 5000
FEW_PAGES = 60  # the levels of some indexes; whatever goes through all of a table, or of an index, sees more

KNOWN, UNKNOWN = UUID(int=ROWS), uuid4()
TRADES = [
    {"identity_kind": "order_id", "trade_id": str(ROWS), "account": "main", "body_digest": None},
    {"identity_kind": "body", "trade_id": "unknown", "account": "main", "body_digest": "unknown"},
]
HEAD = {"sequence": 7, "hash": "head", "batch": KNOWN}
FORESEEN = {"account": "main", "epoch": 3, "holder": "host:1", **HEAD, "namespace": None, "deals": [-1, -2]}
LOOK_UPS: dict[str, dict[str, Any]] = {
    "move_as_foreseen": FORESEEN | {f"next_{name}": value for name, value in HEAD.items()},
    "lock_account": {"account": "main"},
    "take_trade_counters": {"count": 1},
    "find_trades": {"rows": json.dumps(TRADES)},
    "find_revisions": {"ids": [KNOWN, UNKNOWN]},
    "find_reply_addresses": {"ids": [KNOWN, UNKNOWN]},
    "find_attested_deals": {"ids": [ROWS, -1], "account": "main"},
    "find_refusals": {"digests": ["digest of 1", "unknown"], "account": "main"},
    "recorded_deals": {"ids": [ROWS, -1], "account": "main"},
    "update_executions": {"rows": json.dumps([{"execution_id": str(UNKNOWN)}])},
    "delete_outbox": {"rows": json.dumps([{"id": -1, "account": "main", "refused": False}])},
    "move_audit_head_and_sign": {"account": "main", **HEAD},
    "pending_outbox": {"account": "main", "besides": [], "limit": 10, "bytes": 10_000},
}

ACCOUNT = """
    insert into ledger.accounts (account, lease_epoch, lease_holder, audit_sequence, audit_hash, last_batch)
    values ('main', 3, 'host:1', 7, 'head', %s)
"""
FILLING = f"""
    set session_replication_role = replica;
    insert into ledger.executions (
        execution_id, account, identity_kind, trade_id, rpm_order_id, body_digest, symbol, direction, units,
        approved_at, body, envelope, token, received_at, state, is_open, is_unresolved, revision, version, attempts,
        sends, round_start, stale_allowed, executed_lots)
    select lpad(to_hex(n), 32, '0')::uuid, 'main', 'order_id', n, case when n % 2 = 0 then n end, 'digest of ' || n,
           'EURUSD', 1, 1000, now(), repeat('x', 500)::bytea, '{{}}', n * 64, now(), 'filled', false, false, 4, 1, 1, 1,
           0, false, 1
    from generate_series(1, {ROWS}) n;
    insert into ledger.deals (account, deal_id, execution_id, lots, units, attested_by)
    select account, token / 64, execution_id, 1, 1, 'ann' from ledger.executions;
    insert into ledger.refusals (execution_id, account, reason, detail, content_digest, envelope, refused_at)
    select execution_id, account, '', '', body_digest, '{{}}', now() from ledger.executions;
    insert into ledger.reply_addresses select execution_id, 'desk', trade_id from ledger.executions;
    insert into ledger.replays (replay_id, letter_id, account, by, reason, allow_stale, created_at, execution_id)
    select execution_id, execution_id, account, 'ann', 'a test', false, now(), execution_id from ledger.executions;
    insert into ledger.confirmations (
        execution_id, version, account, status, final, routing_key, message_id, body, created_at)
    select execution_id, 1, account, state, true, '', '', body, now() from ledger.executions;
    insert into ledger.outbox (
        account, kind, exchange, routing_key, properties, body, execution_id, version, created_at)
    select account, 'confirmation', '', '', '{{}}', body, execution_id, 1, now() from ledger.executions;
"""  # noqa: S608 - a number of ours


async def test_no_look_up_of_a_commit_goes_through_what_it_does_not_look_for(
    ledger_url: str, database: Connection
) -> None:
    await database.execute(ACCOUNT.encode(), [KNOWN])
    async with await connect(ledger_url, "planner", WORKER_SESSION) as planner:
        for name in LOOK_UPS:
            await planner.execute(b"prepare %b as %b" % (name.encode(), numbered(name).text))
            await _pages(planner, name)

        await database.execute(FILLING.encode())

        pages = {name: await _pages(planner, name) for name in LOOK_UPS}
    assert {name: count for name, count in pages.items() if count > FEW_PAGES} == {}


async def _pages(planner: Connection, name: str) -> int:
    """Execute a prepared statement and return how many pages it looked at."""
    values = [Literal(LOOK_UPS[name][parameter]) for parameter in numbered(name).parameters]
    execution = SQL("explain (analyze, buffers, format json) execute {} ({})")
    cursor = await planner.execute(execution.format(Identifier(name), SQL(", ").join(values)))
    [row] = await cursor.fetchall()
    [explained] = row["QUERY PLAN"]
    return int(explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"])
