"""A huge message leaves no huge process behind."""

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
