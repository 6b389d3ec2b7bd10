"""The ledger in PostgreSQL, put together: what the pipeline, the relay and the dead-letter ingester work with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow

from worker.domain.broker_facts import StoredFacts
from worker.domain.errors import NotFound
from worker.domain.execution import Attempt, Execution
from worker.domain.halts import Halts
from worker.domain.limits import Order
from worker.domain.trade import Direction
from worker.ledger.admit import Admit
from worker.ledger.commit import Committer
from worker.ledger.connection import Connection
from worker.ledger.database import recognise
from worker.ledger.job import replay_id
from worker.ledger.lease import Lease
from worker.ledger.letters import TakeIn
from worker.ledger.line import Line
from worker.ledger.mailbox import PostgresOutbox
from worker.ledger.orphans import ReportOrphans
from worker.ledger.record import Record
from worker.ledger.records import attempt_from, execution_from
from worker.ledger.refuse import Refuse
from worker.ledger.round_trip import round_trip
from worker.ledger.schema import check
from worker.ledger.tenure import Tenure
from worker.metering import UNMETERED, Backlog, Meter
from worker.observability import Outage
from worker.ports import Admission, Arrival, Change, Clock, DeadLetter, Orphan, RefusedMessage, Watermark, WriteAhead


class PostgresLedger:
    """
    Implements `Ledger` and `DeadLetterDesk`; `outbox` implements `Outbox`.

    Open it, `lead()` to become the account's worker, then write. `on_lease_lost` is called once, in the event loop,
    when another worker turns out to have taken over.
    """

    def __init__(  # noqa: PLR0913 - each by its name
        self,
        url: str,
        *,
        account: str,
        worker_id: str,
        clock: Clock,
        on_lease_lost: Callable[[], None],
        meter: Meter = UNMETERED,
    ) -> None:
        self._url = url
        self._tenure = Tenure(account, worker_id, on_lease_lost)
        self._clock = clock
        self.outage = outage = Outage("postgresql", "the worker waits and sends nothing new; nothing is lost")
        self._reading = Line(url, f"mt5-worker reading {account}", outage)
        self._writing = Line(url, f"mt5-worker writing {account}", outage, self._greet)
        self.lease = Lease(Line(url, f"mt5-worker lease {account}", outage), self._tenure, clock)
        self.outbox = PostgresOutbox(account, Line(url, f"mt5-worker outbox {account}", outage))
        self._committer = Committer(self._writing, self._tenure, clock, self.outbox.hand_over, meter)

    @classmethod
    async def open(  # noqa: PLR0913 - each by its name
        cls,
        url: str,
        *,
        account: str,
        worker_id: str,
        clock: Clock,
        on_lease_lost: Callable[[], None] = lambda: None,
        meter: Meter = UNMETERED,
    ) -> PostgresLedger:
        """Check the schema first; raises LedgerUnavailable, SchemaMismatch or WrongSetting with a sentence."""
        await check(url)
        return cls(url, account=account, worker_id=worker_id, clock=clock, on_lease_lost=on_lease_lost, meter=meter)

    async def lead(self, on_standby: Callable[[str], None] = lambda _holder: None) -> None:
        """Wait for the lease and take it; from then on everything can be written. Keeping it is the caller's task."""
        await self.lease.take(on_standby)
        await self._writing.run(_nothing)  # greets the database: its identity decides about halt and namespace
        self._committer.start()
        self.outbox.serve(self._committer)

    async def close(self, *, drain: bool = True) -> None:
        """Commit what waits (or give it up at once), release the lease, close all connections."""
        await self._committer.close(drain=drain)
        if drain:
            await self.lease.release()
        for part in (self.lease, self.outbox, self._writing, self._reading):
            await part.close()

    @property
    def halts(self) -> Halts:
        """Return the halts of this account and its symbols, as last seen by a commit or a renewal."""
        return self._tenure.halts.now

    async def halts_changed(self, within: float | None = None) -> None:
        """Return when the halts were seen to change, or after so many seconds."""
        await self._tenure.halts.change(within)

    @property
    def namespaces(self) -> frozenset[int]:
        """Return all token namespaces of this database."""
        return self._tenure.namespaces

    @property
    def known_since(self) -> datetime | None:
        """Return since when this copy of the ledger misses nothing; None when it never has."""
        return self._tenure.known_since

    @property
    def lease_left(self) -> float:
        """Return the seconds until another worker may have taken over, as far as this one knows; 0 or less: it may."""
        return self._tenure.left(self._clock)

    @property
    def lease_epoch(self) -> int:
        """Return the number of the lease; 0 before it was taken."""
        return self._tenure.epoch

    @property
    def watermark(self) -> Watermark:
        """Return how far all deals have been compared with the ledger, by this worker or those before it."""
        return self._tenure.watermark

    def compared(self, watermark: Watermark) -> None:
        """Take note that all deals until then have been compared; stored with the next renewal of the lease."""
        self._tenure.compared(watermark)

    def forget_witness(self) -> None:
        """Forget the newest deal: the account's history does not hold it any more."""
        self._tenure.forget_witness()

    async def admit(self, arrival: Arrival, ahead: WriteAhead | None = None) -> Admission:
        """Write a new trade down, with its first attempt if that is given, or recognise a known one."""
        # A replay may reopen an execution that another job of the batch is just ending.
        return await self._committer.submit(Admit(arrival, ahead), alone=replay_id(arrival.message) is not None)

    async def refuse(self, refused: RefusedMessage) -> None:
        """Write a refusal down with its dead letter and confirmation; a redelivery adds nothing."""
        await self._committer.submit(Refuse(refused))

    async def record(self, change: Change) -> Execution:
        """Write one step down. Raises StaleRevision, HaltedAtCommit, LeaseLost, and what the schema forbids."""
        return await self._committer.submit(Record(change))

    async def take_in(self, letter: DeadLetter, tell: RefusedMessage | None) -> bool:
        """Store a dead letter once; `tell` is confirmed to the sender when the ledger knows no trade of the message."""
        return await self._committer.submit(TakeIn(letter, tell, self._tenure.worker_id))

    async def open_executions(self, besides: Collection[UUID] = ()) -> Sequence[Execution]:
        """Return the executions of this account that are not settled, but for those, in the order of arrival."""
        values = {"account": self._tenure.account, "besides": list(besides)}
        return [execution_from(row) for row in await self._read("open_executions", values)]

    async def unresolved(self) -> Sequence[Execution]:
        """Return the executions of this account that wait for evidence or a person, in the order of arrival."""
        rows = await self._read("unresolved_executions", {"account": self._tenure.account})
        return [execution_from(row) for row in rows]

    async def latest_attempt(self, execution_id: UUID) -> Attempt:
        """Return the last write-ahead of an execution; raises NotFound when it has none."""
        rows = await self._read("latest_attempt", {"execution_id": execution_id})
        if not rows:
            raise NotFound(f"execution {execution_id} has no attempt: nothing was ever written ahead for it")
        return attempt_from(rows[0])

    async def orders_since(self, since: datetime) -> Sequence[tuple[datetime, Order]]:
        """Return what was written ahead for this account after that time (UTC), with its time, in its order."""
        rows = await self._read("orders_since", {"account": self._tenure.account, "since": since})
        return [
            (row["written_at"], Order(row["symbol"], Direction(row["direction"]), row["units"], row["is_retry"]))
            for row in rows
        ]

    async def report_orphans(self, seen: Sequence[Orphan]) -> Sequence[Orphan]:
        """Return those that nobody knows; for them the account is halted and tokens come from a new namespace."""
        if not await self._are_strangers(seen):
            return []
        return await self._committer.submit(ReportOrphans(seen))

    async def _are_strangers(self, seen: Sequence[Orphan]) -> bool:
        values = {"account": self._tenure.account, "magics": [orphan.magic for orphan in seen]}
        return bool(seen) and bool(await self._read("find_strangers", values))

    async def unrecorded(self, deal_ids: Sequence[int]) -> frozenset[int]:
        """Return which of these broker deals the ledger does not have."""
        values = {"account": self._tenure.account, "ids": list(deal_ids)}
        return frozenset(deal_ids) - {row["deal_id"] for row in await self._read("recorded_deals", values)}

    async def find_by_token(self, base_token: int) -> Execution | None:
        """Return the execution that this base token belongs to, whatever its state and account."""
        rows = await self._read("execution_by_token", {"token": base_token})
        return execution_from(rows[0]) if rows else None

    async def backlog(self) -> Backlog:
        """Return what this account has open, in figures."""
        return Backlog(**(await self._read("backlog", {"account": self._tenure.account}))[0])

    async def broker_facts(self, server: str, login: int) -> Sequence[StoredFacts]:
        """Return what canaries have last measured of this broker, one for each symbol they flew on."""
        rows = await self._read("last_broker_facts", {"server": server, "login": login})
        return [StoredFacts(**row) for row in rows]

    async def _read(self, statement: str, values: dict[str, Any]) -> Sequence[DictRow]:
        async def read(connection: Connection) -> Sequence[DictRow]:
            [rows] = await round_trip(connection, [(statement, values)])
            return rows

        return await self._reading.run(read)

    async def _greet(self, connection: Connection) -> None:
        await recognise(connection, self._tenure, self._clock)


async def _nothing(_connection: Connection) -> None:
    """Only the greeting is wanted."""
