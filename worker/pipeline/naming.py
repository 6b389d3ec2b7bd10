"""Names the trade that log lines are about."""

from __future__ import annotations

from contextlib import AbstractContextManager

import structlog

from worker.domain.execution import Execution


def named(execution: Execution) -> AbstractContextManager[object]:
    """Have every line that is logged in this block, by whatever is called there, name the trade."""
    return structlog.contextvars.bound_contextvars(
        execution_id=str(execution.execution_id),
        trade_id=execution.trade.identity.trade_id,
        account=execution.account,
    )
