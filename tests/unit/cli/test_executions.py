"""The list of executions stays readable whatever its trades are called."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from worker.cli import executions
from worker.cli.show import print_table
from worker.ledger.listing import ExecutionLine


def test_a_long_trade_id_leaves_room_for_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    # Given a trade that is named by the digest of its body
    line = ExecutionLine(
        execution_id=UUID(int=7),
        trade_id="sha256:" + "0123456789abcdef" * 4,
        rpm_order_id=None,
        account="main",
        symbol="EURUSD.partial",
        direction=1,
        units=Decimal(100_000),
        status="partially_filled",
        version=1,
        reason=None,
        requested_lots=Decimal(1),
        executed_lots=Decimal("0.6"),
        order_id="80",
        received_at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
        settled_at=None,
    )

    # When it is listed for a person
    columns = ["execution, trade", "symbol, order", "status, received (UTC)"]
    print_table(columns, [executions._cells(line)], none="no execution fits", whole=columns[:1])

    # Then nothing of it is squeezed out, and it fits 80 columns
    out = capsys.readouterr().out
    assert str(line.execution_id) in out
    assert "EURUSD.partial" in out
    assert "partially_filled" in out
    assert max(map(len, out.splitlines())) <= 80
