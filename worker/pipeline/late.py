"""Late evidence: what the broker shows of trades that nobody drives any more, and of trades nobody knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import structlog

from worker.domain.errors import LeaseLost, ServiceUnavailable, StaleRevision
from worker.domain.evidence import Evidence, token_of
from worker.domain.execution import FINAL, OPEN, Deal, Execution
from worker.pipeline.naming import named
from worker.pipeline.settle import Settler
from worker.ports import Ledger, Orphan

_log = structlog.get_logger()


class LateEvidence:
    """
    Compares what the broker shows with the ledger, whatever the executions' states.

    A deal of a settled execution corrects it; an order that the ledger never wrote halts the account. Open executions
    have a coroutine that takes its own evidence, or will have one soon; unresolved ones are searched for.
    """

    def __init__(self, ledger: Ledger, settler: Settler) -> None:
        self._ledger, self._settler = ledger, settler
        self._kept: dict[int, Evidence] = {}  # of open executions, seen while nobody drove them

    def kept(self, base_token: int) -> Evidence | None:
        """Hand over what was seen of an open execution while nobody drove it; None when nothing was."""
        return self._kept.pop(base_token, None)

    async def take(self, evidence: Mapping[int, Evidence]) -> None:
        """Take in all that was seen, by base token."""
        await self._tell_of_orphans(evidence)
        tickets = [ticket for seen in evidence.values() for ticket in seen.deals]
        unrecorded = await self._ledger.unrecorded(tickets) if tickets else frozenset()
        for base_token, seen in evidence.items():
            if not unrecorded.isdisjoint(seen.deals):
                await self._correct_alone(base_token, seen)

    async def _tell_of_orphans(self, evidence: Mapping[int, Evidence]) -> None:
        for orphan in await self._ledger.report_orphans(list(_sightings(evidence))):
            _log.error(
                "orphan_order",
                alert=True,
                order=orphan.order_ticket,
                magic=orphan.magic,
                symbol=orphan.symbol,
                meaning="the broker has an order with our token that this ledger never wrote: the account is halted",
            )

    async def _correct_alone(self, base_token: int, seen: Evidence) -> None:
        """Correct one trade; its defect must not end the others, whose worker this is."""
        with ExitStack() as names:
            try:
                await self._correct(base_token, seen, names)
            except (LeaseLost, ServiceUnavailable):
                raise
            except Exception:  # noqa: BLE001 - told to a person; the next recovery compares it again
                _log.exception("correction_failed", alert=True, token=base_token, deals=list(seen.deals))

    async def _correct(self, base_token: int, seen: Evidence, names: ExitStack) -> None:
        """Correct it; `names` is what its failure is told under."""
        while True:
            execution = await self._ledger.find_by_token(base_token)
            if execution is not None and execution.state in OPEN:
                self._kept.setdefault(base_token, Evidence()).add(seen)
            if execution is None or execution.state not in FINAL:
                return
            forgotten = seen.forgotten_attempt(execution)
            if forgotten is not None:
                execution = execution.remembering(forgotten)
            deals = seen.new_deals(execution)
            if not deals:
                return
            names.enter_context(named(execution))
            try:
                _tell(execution, deals)
                await self._settler.corrected(execution, deals, forgotten)
            except StaleRevision:
                continue  # an operator was quicker: look again, a deal is told of only once
            return


def _sightings(evidence: Mapping[int, Evidence]) -> Iterator[Orphan]:
    for seen in evidence.values():
        for order in seen.orders.values():
            yield Orphan(token_of(order), order.ticket, order.symbol)
        for deal in seen.deals.values():
            yield Orphan(token_of(deal), deal.order, deal.symbol)


def _tell(execution: Execution, deals: tuple[Deal, ...]) -> None:
    _log.error(
        "late_deal",
        alert=True,
        status=execution.state.value,
        deals=[deal.deal_id for deal in deals],
        meaning="the broker executed after the trade had ended; the next version of the confirmation says so",
    )
