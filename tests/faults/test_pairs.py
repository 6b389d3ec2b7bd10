"""The chains of a full matrix hold every pair of points exactly once."""

from __future__ import annotations

import fnmatch
from collections import Counter
from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from tests.faults.pairs import LASTING, chains
from worker import failpoints


@given(count=st.integers(1, 12), lives=st.integers(1, 20))
def test_every_pair_stands_in_one_chain(count: int, lives: int) -> None:
    points = [f"point {number}" for number in range(count)]

    found = Counter(pair for chain in chains(points, lives) for pair in pairwise(chain))

    assert found == Counter(product(points, repeat=2))
    assert all(len(chain) <= lives + 1 for chain in chains(points, lives))


def test_every_lasting_point_is_one_that_the_worker_knows() -> None:
    names = [fault.partition("=")[0] for fault in LASTING]
    assert [name for name in names if not any(fnmatch.fnmatch(name, known) for known in failpoints.POINTS)] == []
    assert len(set(names)) == len(names)
