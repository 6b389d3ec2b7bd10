"""
Count what the real package and the simulated one have, side by side: `python -m tests.conformance [--json]`.

Exit codes: 0 no difference, 1 there are differences, 3 the registry is out of reach.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from tests.conformance import facts
from tests.conformance.comparison import Row, compared, spoken
from tests.conformance.wheel import OutOfReach, wheel
from tests.conformance.words import NEVER_SAID, patterns
from worker.mt5 import simulated


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or the same as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description="Compare with the real package.")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args(arguments)
    try:
        theirs = facts.of_wheel(wheel())
    except OutOfReach as error:
        sys.stderr.write(f"{error}\n")
        return 3
    rows = compared(theirs, facts.of_module(simulated.module()))
    rows.append(spoken(theirs.errors, patterns(), NEVER_SAID))
    text = json.dumps([asdict(row) for row in rows], indent=2) if options.json else _table(rows)
    sys.stdout.write(f"{text}\n")
    return 1 if any(row.differences for row in rows) else 0


def _table(rows: list[Row]) -> str:
    lines = [f"{'':<40}{'MetaTrader5':>18}{'simulated':>18}  differences"]
    for row in rows:
        lines.append(f"{row.what:<40}{row.theirs:>18}{row.ours:>18}  {len(row.differences) or 'none'}")
        lines += [f"    {line}" for line in row.differences + row.notes]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
