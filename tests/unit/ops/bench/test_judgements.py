"""What the benchmark concludes from what it measured: memory that grows, recovery that is more than linear."""

from __future__ import annotations

from collections.abc import Callable

from ops.bench import memory, recovery
from ops.bench.figures import Figure
from ops.bench.metrics import TerminalCalls

LOOKS = range(4_000, 244_000, 4_000)


def test_memory_that_rises_while_everything_is_warming_up_and_then_stays_is_flat() -> None:
    curve = [(trades, 80 + min(trades, 40_000) / 1000 + trades % 3) for trades in LOOKS]

    claim = memory._memory_claimed("worker", curve)

    assert claim.holds
    assert claim.text == "memory of the worker, from trade 40,000 to 240,000"


def test_a_hundred_bytes_that_each_trade_leaves_behind_are_noticed() -> None:
    claim = memory._memory_claimed("worker", [(trades, 80 + 100 * trades / 1e6) for trades in LOOKS])

    assert not claim.holds
    assert claim.measured == "+20.0 MB"


def test_one_look_that_is_far_off_is_told_as_noise_and_not_as_growth() -> None:
    curve = [(trades, 80.0 + 8 * (trades == 240_000)) for trades in LOOKS]

    assert memory._memory_claimed("worker", curve).holds
    assert memory._spread("worker", curve).startswith("worker: the last look less the first +8.0 MB; around the line")


def test_a_table_of_memory_ends_with_the_last_look() -> None:
    rows = memory._rows({"worker": [(trades, 80.0) for trades in LOOKS]})

    assert rows[-1] == {"trades": 240_000, "memory, worker (MB)": 80.0}
    assert len(rows) <= 12


def line_of(seconds: Callable[[int], float]) -> recovery.Line:
    return [(count, Figure("settled", "s", [seconds(count)])) for count in recovery.COUNTS]


def test_a_recovery_of_a_constant_and_so_much_for_each_open_execution_is_linear() -> None:
    line = line_of(lambda count: 1.5 + 0.002 * count)

    assert recovery._is_linear("settled", line).holds
    assert recovery._constants("settled", line) == "settled: 1.50 s, and 2.00 ms for each open execution"


def test_a_recovery_that_compares_each_with_each_is_not() -> None:
    assert not recovery._is_linear("settled", line_of(lambda count: 1.5 + 1e-6 * count**2)).holds


def test_a_recovery_that_takes_the_same_however_many_are_open_is_linear() -> None:
    assert recovery._is_linear("settled", line_of(lambda _: 1.5)).holds


def test_of_calls_only_those_count_that_came_since() -> None:
    before, after = TerminalCalls({"poll": 10, "submit": 3}), TerminalCalls({"poll": 30, "submit": 3, "search": 1})

    since = after.since(before)

    assert (since.polls, since.total) == (20, 21)
