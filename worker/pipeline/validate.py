"""Stage 2, pre-execution validation: every check against the live market, before every send."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

import structlog

from worker.domain import checks
from worker.domain.checks import Measures, Refusal, Situation
from worker.domain.errors import TerminalUnavailable
from worker.domain.execution import Execution, Venue
from worker.domain.halts import Halt
from worker.domain.instrument import pip_size
from worker.domain.market import Quote, QuoteRequest
from worker.ports import Clock, Ledger, Terminal
from worker.settings import Settings

TERMINAL_PATIENCE_SECONDS = 0.25  # between two looks at a terminal that cannot trade now

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Validated:
    """A validation that: the execution with what was learnt, and the measures, the refusal, or what holds it up."""

    execution: Execution
    verdict: Measures | Refusal | Halt


class Validator:
    """Asks for a quote and runs the checks; waits while the terminal cannot trade, until age ends the wait."""

    def __init__(self, ledger: Ledger, terminal: Terminal, clock: Clock, settings: Settings) -> None:
        self._ledger, self._terminal, self._clock, self._settings = ledger, terminal, clock, settings
        self._limits = settings.limits
        self.waiting: dict[str, str] = {}  # execution id -> why it waits; shown by `status`

    async def validate(self, execution: Execution) -> Validated:
        """
        Return what the checks say; without a terminal not before the trade is too old.

        A trade that a halt holds back is returned with that halt: whoever asks waits, and asks again.
        """
        problem: str | None = None
        try:
            while isinstance(found := await self.look(execution, problem), str):
                problem = found
                self._waits(execution, problem)
                await asyncio.sleep(TERMINAL_PATIENCE_SECONDS)
            return found
        finally:
            self.waiting.pop(str(execution.execution_id), None)

    async def look(self, execution: Execution, problem: str | None = None) -> Validated | str:
        """Return what the checks say at once, or why the terminal cannot trade now; `problem`: why it could not."""
        execution = execution.knowing(broker_symbol=self._broker_symbol(execution))
        halt = self._ledger.halts.of(execution.trade.decision.symbol)
        refusal = self._before_the_market(execution, halt, problem)
        if refusal is not None:
            return Validated(execution.knowing(validated_at=self._clock.now()), refusal)
        if halt is not None:
            return Validated(execution, halt)
        quote = await self._quote(execution)
        return quote if isinstance(quote, str) else self._at_the_market(execution, quote)

    async def measured(self, execution: Execution) -> Execution:
        """Return an execution that was sent, yet never validated in this ledger, with what its symbol tells of it."""
        execution = execution.knowing(broker_symbol=self._broker_symbol(execution))
        while execution.contract_size is None:
            quote = await self._quote(execution)
            if isinstance(quote, str):
                _log.warning("found_trade_waits_for_terminal", detail=quote)
                await asyncio.sleep(TERMINAL_PATIENCE_SECONDS)
            elif quote.instrument is None:
                break  # its units are not known then
            else:
                pip = pip_size(quote.instrument, execution.trade.decision.symbol, self._limits.pip_sizes)
                execution = execution.knowing(contract_size=quote.instrument.contract_size, pip_size=pip)
        return execution

    def _before_the_market(self, execution: Execution, halt: Halt | None, problem: str | None) -> Refusal | None:
        situation = Situation(
            execution, self._limits, self._clock.now(), halt, problem, known_since=self._ledger.known_since
        )
        return checks.first_refusal(checks.BEFORE_THE_MARKET, situation)

    async def _quote(self, execution: Execution) -> Quote | str:
        """Return a quote from a terminal that can trade, or the reason why there is none."""
        decision = execution.trade.decision
        request = QuoteRequest(
            symbol=execution.broker_symbol or decision.symbol,
            direction=decision.direction,
            units=decision.units or Decimal(0),
            volume_policy=self._limits.volume_policy,
            max_volume_shortfall=self._limits.max_volume_shortfall,
        )
        try:
            quote = await self._terminal.quote(request)
        except TerminalUnavailable as error:
            return str(error)
        return quote.health.problem or quote

    def _at_the_market(self, execution: Execution, quote: Quote) -> Validated:
        now = self._clock.now()
        situation = Situation(execution, self._limits, now, quote=quote)
        refusal = checks.first_refusal(checks.AT_THE_MARKET, situation)
        learnt = self._learnt(execution, quote)
        if refusal is not None:
            return Validated(learnt, refusal)
        measures = checks.measure(situation)
        return Validated(_with_measures(learnt, measures), measures)

    def _learnt(self, execution: Execution, quote: Quote) -> Execution:
        health, direction = quote.health, execution.trade.decision.direction
        touch = quote.tick.touch(direction) if quote.tick is not None else None
        return execution.knowing(
            venue=Venue(str(self._settings.mt5_backend), health.server, health.login, health.venue_mode),
            validated_at=execution.validated_at or self._clock.now(),
            first_touch=execution.first_touch or touch,
        )

    def _broker_symbol(self, execution: Execution) -> str:
        return self._settings.broker_symbol(execution.trade.decision.symbol)

    def _waits(self, execution: Execution, problem: str) -> None:
        key = str(execution.execution_id)
        if key not in self.waiting:
            _log.warning(
                "trade_waits_for_terminal",
                detail=problem,
                meaning="nothing was sent; it goes on when the terminal can trade, or expires with its approval",
            )
        self.waiting[key] = problem


def _with_measures(execution: Execution, measures: Measures) -> Execution:
    return execution.knowing(
        contract_size=measures.instrument.contract_size,
        pip_size=measures.pip,
        max_slippage_pips=measures.max_slippage_pips,
        requested_lots=measures.lots,
    )
