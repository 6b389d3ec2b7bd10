"""What every execution must be, whatever way it came: said of the domain's values, named as the database names it."""

from __future__ import annotations

from worker.domain.execution import AT_BROKER, FINAL, SETTLED, Execution, State

EXECUTED = frozenset({State.FILLED, State.PARTIALLY_FILLED})
NOT_EXECUTED = FINAL - EXECUTED
AFTER_A_SEND = AT_BROKER | EXECUTED | {State.SUBMITTING, State.UNKNOWN, State.UNRESOLVED}


def broken_rules(execution: Execution) -> set[str]:
    """Return the names of the rules that an execution breaks; empty for every one that may exist."""
    state, executed = execution.state, execution.executed_lots > 0
    holds = {
        "settled_means_confirmed": execution.version > 0 or state not in SETTLED,
        "filled_means_executed": executed or state not in EXECUTED,
        "not_filled_means_not_executed": not executed or state not in NOT_EXECUTED | {State.RECEIVED},
        "refused_means_a_reason": execution.reason is not None or state not in SETTLED - EXECUTED,
        "at_the_broker_after_an_attempt": execution.attempts > 0 or state not in AFTER_A_SEND,
        "sends_follow_attempts": 0 <= execution.round_start <= execution.sends <= execution.attempts,
        "approved_or_rejected": execution.trade.decision.units is not None or execution.trade.rpm_rejection is not None,
    }
    return {name for name, kept in holds.items() if not kept}
