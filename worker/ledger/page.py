"""A page of the ledger: everything that one transaction is going to write, in the order in which it happened."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from worker.domain.message import OutgoingMessage
from worker.ledger.audit import seal
from worker.ledger.confirmations import Confirmation, ReplyAddress
from worker.ledger.connection import Connection
from worker.ledger.encoding import as_row, rows_as_json
from worker.ledger.records import outgoing_row
from worker.ledger.round_trip import Answers, Call, round_trip
from worker.ledger.tray import Mail
from worker.ports import Anchor, Clock, ConfirmationDraft, Event, OutboxRow

_OUTBOX = "insert_outbox"

# In the order that foreign keys ask for. Each takes a list of rows.
_STATEMENTS = (
    "insert_executions",
    "update_executions",
    "upsert_attempts",
    "insert_deals",
    "withdraw_attested_deals",
    "insert_reply_addresses",
    "insert_refusals",
    "insert_orphans",
    "insert_namespaces",
    "write_halts",
    "insert_confirmations",
    "insert_dead_letters",
    "insert_replays",
    "consume_replays",
    "close_letters",
    "close_letters_of_executions",
    _OUTBOX,
    "delete_outbox",
    "insert_audit_events",
)


class Page:
    """
    Collects rows and audit events of one account whose row is locked, then writes them all at once.

    `head` is the audit chain's head as it stands after the events so far.
    """

    def __init__(self, account: str, head: Anchor, clock: Clock) -> None:
        self.account = account
        self.head = self._after = head
        self.clock = clock
        self._messages: list[OutgoingMessage] = []
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._bodies: dict[str, list[bytes]] = defaultdict(list)

    def put(self, statement: str, **row: Any) -> None:
        """Add one row for a statement. A body travels as it is, beside the rows: it may be huge."""
        if "body" in row:
            self._bodies[statement].append(row.pop("body"))
        self._rows[statement].append(row)

    def append(self, event: Event) -> None:
        """Add an event to the audit trail."""
        row = seal(self.account, self.head, event, self.clock.now())
        self.head = row.anchor
        self._rows["insert_audit_events"].append(as_row(row))

    def queue(self, message: OutgoingMessage, execution_id: UUID | None = None, version: int | None = None) -> None:
        """Add a message to the outbox."""
        self.put(
            _OUTBOX,
            account=self.account,
            execution_id=execution_id,
            version=version,
            created_at=self.clock.now(),
            **outgoing_row(message),
        )
        self._messages.append(message)

    def confirm(self, draft: ConfirmationDraft, addresses: Iterable[ReplyAddress]) -> Confirmation:
        """
        Write a confirmation down, anchored in its account's chain as it stands; send it once to each who waits for it.

        The word to the sender of a dead letter may be for an account that has no worker, and so no chain.
        """
        body = draft.render(self.head if draft.account == self.account else None)
        told = {"version": draft.version, "status": draft.status, "sha256": hashlib.sha256(body).hexdigest()}
        self.append(Event("confirmed", told, draft.execution_id))
        confirmation = Confirmation(draft.execution_id, draft.version, draft.routing_key, draft.correlation_id, body)
        self.put(
            "insert_confirmations",
            **as_row(confirmation),
            account=draft.account,
            status=draft.status,
            final=draft.final,
            symbol=draft.symbol,
            message_id=confirmation.message_id,
            created_at=self.clock.now(),
        )
        self.send(confirmation, dict.fromkeys(addresses))
        return confirmation

    def send(self, confirmation: Confirmation, addresses: Iterable[ReplyAddress]) -> None:
        """Queue a confirmation for all subscribers, and a copy for each of these addresses."""
        self.queue(confirmation.message(), confirmation.execution_id, confirmation.version)
        for address in addresses:
            self.queue(confirmation.copy_for(address), confirmation.execution_id, confirmation.version)

    def sub_page(self) -> Page:
        """Return an empty page that continues this one; thrown away, it leaves no trace."""
        return Page(self.account, self.head, self.clock)

    def adopt(self, sub_page: Page) -> None:
        """Take over what a sub-page holds."""
        self.head = sub_page.head
        for statement, rows in sub_page._rows.items():
            self._rows[statement].extend(rows)
        for statement, bodies in sub_page._bodies.items():
            self._bodies[statement].extend(bodies)
        self._messages.extend(sub_page._messages)

    def mail(self, calls: Sequence[Call], answers: Answers) -> Mail:
        """Return what was put into the outbox, by what `calls` were answered."""
        ids = (row["id"] for (name, _), rows in zip(calls, answers, strict=False) if name == _OUTBOX for row in rows)
        return Mail(self._after, self.head, list(map(OutboxRow, ids, self._messages)))

    async def write(self, connection: Connection) -> None:
        """Write it all, in one round trip. The caller holds the account's row and commits."""
        await round_trip(connection, self.calls())

    def calls(self, batch: UUID | None = None) -> list[Call]:
        """Return the statements that write it all, and move the account's head; `batch` signs the page."""
        head = {"account": self.account, "sequence": self.head.sequence, "hash": self.head.hash}
        if batch is None:
            return [*self.rows(), ("move_audit_head", head)]
        return [*self.rows(), ("move_audit_head_and_sign", {**head, "batch": batch})]

    def rows(self) -> list[Call]:
        """Return the statements that write the rows."""
        return [(statement, self._values(statement)) for statement in _STATEMENTS if statement in self._rows]

    def _values(self, statement: str) -> dict[str, Any]:
        values: dict[str, Any] = {"rows": rows_as_json(self._rows[statement])}
        if statement in self._bodies:
            values["bodies"] = self._bodies[statement]
        return values
