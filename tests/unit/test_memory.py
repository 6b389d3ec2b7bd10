"""A huge message leaves no huge process behind, and what stands after the start is not looked through for ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEGABYTE = 1024 * 1024

# Huge values that are freed, with a small one between each two that lives on. The first one teaches glibc.
PROGRAM = """
from pathlib import Path
from worker.memory import give_back_large_blocks

def resident():
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024

give_back_large_blocks()
first = b"x" * 5_000_000
del first
before = resident()
pairs = [(b"%d" % number * 2_500_000, b"%d" % number * 1_000) for number in range(10, 50)]
small = [pair[1] for pair in pairs]
del pairs
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux how much memory the process has")
def test_what_huge_values_needed_is_given_back_although_small_ones_live_on() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, timeout=30)

    assert int(told.stdout) < 10 * MEGABYTE


LEFT_OUT = """
import gc
from worker.memory import look_through_what_is_new

stands = [[number] for number in range(10_000)]
look_through_what_is_new()
a_cycle = []
a_cycle.append(a_cycle)
del a_cycle
known = {id(one) for one in stands}
print(sum(id(one) in known for one in gc.get_objects()), gc.collect())
"""


def test_what_stands_is_left_out_and_a_new_cycle_is_still_found() -> None:
    told = subprocess.run([sys.executable, "-c", LEFT_OUT], check=True, capture_output=True, timeout=30)

    assert told.stdout.split() == [b"0", b"1"]
