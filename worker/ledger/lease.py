"""The lease: one account, one worker at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from psycopg import errors
from psycopg.rows import DictRow

from worker import failpoints
from worker.domain.errors import WrongSetting
from worker.ledger.connection import Connection
from worker.ledger.encoding import as_row, json_default
from worker.ledger.halts import halts_from
from worker.ledger.line import Line
from worker.ledger.page import Page
from worker.ledger.silence import Silence
from worker.ledger.statements import sql
from worker.ledger.tenure import Tenure
from worker.ledger.transaction import transaction
from worker.ledger.view import account_from, lock_account
from worker.ports import Clock, Event, Watermark

RENEW_SECONDS = 1.0
POLL_SECONDS = 0.5


class Lease:
    """The right to write for an account. Every method waits through outages of PostgreSQL."""

    def __init__(self, line: Line, tenure: Tenure, clock: Clock) -> None:
        self._tenure = tenure
        self._clock = clock
        self._line = line
        self._silence = Silence(clock)

    async def take(self, on_standby: Callable[[str], None] = lambda _holder: None) -> None:
        """Wait until the account is free or its holder has gone silent, and take it under a new epoch."""
        waiting_for: str | None = None
        while (holder := await self._line.run(self._try)) is not None:
            if holder != waiting_for:
                waiting_for = holder
                on_standby(holder)
            await asyncio.sleep(POLL_SECONDS)

    async def bind(self, backend: str, server: str, login: int) -> None:
        """Bind the account to this login at its first use; raises WrongSetting when it is bound to another."""
        wanted = {"backend": backend, "server": server, "login": login}
        await self._line.run(lambda connection: self._bind(connection, wanted))

    async def keep(self, report: Callable[[], Mapping[str, Any]]) -> None:
        """Renew every second until the lease is lost (raises LeaseLost) or the task is cancelled."""
        while True:
            await self.renew(report())
            await asyncio.sleep(RENEW_SECONDS)

    async def renew(self, report: Mapping[str, Any]) -> None:
        """Renew once, with what `status` is to show of this worker; raises LeaseLost."""
        text = json.dumps(report, default=json_default)
        await self._line.run(lambda connection: self._renew(connection, text))

    async def release(self) -> None:
        """Give the account up, so that the next worker need not wait. Nothing happens when it is lost already."""
        if self._tenure.epoch and not self._tenure.is_lost:
            await self._line.run(self._release)

    async def close(self) -> None:
        """Close the connection; what is held stays held until it runs out."""
        await self._line.close()

    async def _try(self, connection: Connection) -> str | None:
        """Return None once the lease is ours, else its holder."""
        values = {"account": self._tenure.account, "holder": self._tenure.worker_id}
        await self._open(connection, values)
        cursor = await connection.execute(sql("look_at_lease"), values)
        if (holder := self._live_holder(await cursor.fetchone())) is not None:
            return holder
        await connection.execute(sql("end_stuck_transactions"))
        return await self._take(connection, values)

    async def _take(self, connection: Connection, values: dict[str, Any]) -> str | None:
        async with transaction(connection, "take"):
            cursor = await connection.execute(sql("lock_account"), values)
            row = await cursor.fetchone()
            if row is None:
                raise self._tenure.lost()
            if (holder := self._live_holder(row)) is not None:
                return holder
            began = self._clock.now(), self._clock.monotonic()
            cursor = await connection.execute(sql("take_lease"), values)
            taken = await cursor.fetchone()
            if taken is None:
                raise self._tenure.lost()
        self._tenure.epoch, self._tenure.predecessor = taken["lease_epoch"], row["lease_holder"]
        self._tenure.renewed(*began)
        self._tenure.halts.note(halts_from(row))
        self._tenure.watermark = Watermark(taken["compared_until"], taken["newest_deal"])
        return None

    async def _open(self, connection: Connection, values: dict[str, Any]) -> None:
        failpoints.hit("ledger.open.before")
        await connection.execute(sql("open_account"), values)
        failpoints.hit("ledger.open.after")

    def _live_holder(self, row: DictRow | None) -> str | None:
        """Return who holds the lease; None when it is free, or its holder has gone silent."""
        if row is None or row["lease_holder"] is None:
            return None
        silent = self._silence.has_lasted(row["lease_epoch"], row["lease_counter"])
        return None if silent else str(row["lease_holder"])

    async def _bind(self, connection: Connection, wanted: dict[str, Any]) -> None:
        account = self._tenure.account
        try:
            async with transaction(connection, "bind"):
                cursor = await connection.execute(sql("lock_account"), {"account": account})
                row = await cursor.fetchone()
                held = self._tenure.see(account_from(row) if row else None)
                bound = {name: row[name] for name in wanted} if row else {}
                if bound == wanted:
                    return
                if bound["server"] is not None:
                    raise WrongSetting(_bound_otherwise(account, bound, wanted))
                await connection.execute(sql("bind_account"), {"account": account, **wanted})
                page = Page(account, held.head, self._clock)
                page.append(Event("account_bound", wanted))
                await page.write(connection)
        except errors.UniqueViolation:
            raise WrongSetting(await self._owned(connection, wanted)) from None

    async def _owned(self, connection: Connection, wanted: dict[str, Any]) -> str:
        cursor = await connection.execute(sql("owner_of_login"), wanted)
        owner = await cursor.fetchone()
        name = owner["account"] if owner else "another account"
        return (
            f"ACCOUNT: login {wanted['login']} at {wanted['server']} is account {name} of this ledger, not "
            f"{self._tenure.account}: one login has one account, or two workers would trade it"
        )

    async def _renew(self, connection: Connection, report: str) -> None:
        values = {"account": self._tenure.account, "holder": self._tenure.worker_id, "epoch": self._tenure.epoch}
        failpoints.hit("ledger.renew.before")
        began = self._clock.now(), self._clock.monotonic()
        try:
            cursor = await connection.execute(sql("renew_lease"), {**values, "report": report, **self._compared()})
        except (errors.LockNotAvailable, errors.QueryCanceled):
            await connection.execute(sql("end_stuck_transactions"))
            raise
        failpoints.hit("ledger.renew.after")
        row = await cursor.fetchone()
        if row is None:
            raise self._tenure.lost()
        self._tenure.renewed(*began)
        self._tenure.halts.note(halts_from(row))

    async def _release(self, connection: Connection) -> None:
        values = {"account": self._tenure.account, **self._compared()}
        async with transaction(connection, "release"):
            row = await lock_account(connection, self._tenure.account)
            if row is None or row.epoch != self._tenure.epoch or row.holder is None:
                return
            await connection.execute(sql("release_lease"), values)
            if not self._tenure.has_written:
                return
            page = Page(self._tenure.account, row.head, self._clock)
            page.append(Event("lease_released", {"epoch": row.epoch, "holder": self._tenure.worker_id}))
            await page.write(connection)

    def _compared(self) -> dict[str, Any]:
        return as_row(self._tenure.watermark)


def _bound_otherwise(account: str, bound: dict[str, Any], wanted: dict[str, Any]) -> str:
    return (
        f"ACCOUNT: account {account} of this ledger is {_login(bound)}, but the terminal is {_login(wanted)}: "
        "use another ACCOUNT, or the right terminal"
    )


def _login(binding: dict[str, Any]) -> str:
    return f"login {binding['login']} at {binding['server']} ({binding['backend']})"
