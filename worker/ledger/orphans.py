"""Reporting orphans: what the broker has under tokens of ours that the ledger never wrote down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worker.ledger.encoding import as_row
from worker.ledger.halting import halt_by_worker
from worker.ledger.namespaces import next_namespace
from worker.ledger.page import Page
from worker.ledger.view import Question, View
from worker.ports import Event, Orphan

NAMED = 5  # tickets in the halt's reason; the alert in the trail has them all
_ROW_BYTES = 200  # an orphan in its table and in the alert
_FOUND = "under a token of this ledger that it never wrote down"


@dataclass(frozen=True, slots=True)
class ReportOrphans:
    """The job of one look at the broker that found tokens of ours."""

    seen: Sequence[Orphan]
    kinds: tuple[str, ...] = ("orphans",)
    steps: None = None

    @property
    def weight(self) -> int:
        """Return about how much the alert and the rows will hold."""
        return len(self.seen) * _ROW_BYTES

    def ask(self, question: Question) -> None:
        """Ask which of them are unknown."""
        question.tokens.extend(orphan.magic for orphan in self.seen)

    def decide(self, view: View, page: Page) -> Sequence[Orphan]:
        """Halt the account for those that are new, remember them, and begin a new namespace."""
        new = list({orphan.magic: orphan for orphan in self.seen if orphan.magic in view.strangers}.values())
        if not new:
            return new
        reason, now = halt_reason(new), page.clock.now()
        for orphan in new:
            page.put("insert_orphans", account=page.account, **as_row(orphan), seen_at=now)
        page.append(Event("alert", _alert(new, reason)))
        begun = next_namespace(view.namespaces, view.namespaces[-1].copy, now)
        page.put("insert_namespaces", **as_row(begun))
        if _FOUND not in (view.account.halt or ""):  # it would repeat itself, and say less of the first
            view.account = halt_by_worker(page, view.account, reason)
        view.namespaces.append(begun)
        view.prefixes.append(begun.namespace)
        view.known_since = now
        view.strangers.difference_update(orphan.magic for orphan in new)
        return new


def halt_reason(new: Sequence[Orphan]) -> str:
    """Say what was found, what it means, and what to do."""
    tickets = ", ".join(str(orphan.order_ticket) for orphan in new[:NAMED])
    more = f" and {len(new) - NAMED} more" if len(new) > NAMED else ""
    orders = "1 order" if len(new) == 1 else f"{len(new)} orders"
    return (
        f"the broker has {orders} {_FOUND} (ticket {tickets}{more}): the ledger was restored from an older copy, or "
        "another worker writes elsewhere, and trades may have been executed that it does not know; compare broker and "
        "ledger, then `mt5-worker resume`"
    )


def _alert(new: Sequence[Orphan], reason: str) -> dict[str, object]:
    found = [{"ticket": str(one.order_ticket), "token": str(one.magic), "symbol": one.symbol} for one in new]
    return {"alert": "orphans", "detail": reason, "orders": found}
