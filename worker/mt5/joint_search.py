"""Several terminals' searches of one account, as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from worker.domain.market import Search


def together(searches: Sequence[Search]) -> Search:
    """
    Join searches: what any of them shows is there, what any of them could not read is not read.

    One that is not readable adds nothing, unless none is: then it is the first one that tells why.
    """
    readable = [search for search in searches if search.readable] or searches[:1]
    return replace(
        readable[0],
        unreadable_symbols=frozenset[str]().union(*(search.unreadable_symbols for search in readable)),
        orders=tuple(chain.from_iterable(search.orders for search in readable)),
        deals=tuple(chain.from_iterable(search.deals for search in readable)),
        positions=tuple(chain.from_iterable(search.positions for search in readable)),
        strangers=tuple(chain.from_iterable(search.strangers for search in readable)),
        newest_deal=max((search.newest_deal for search in readable if search.newest_deal is not None), default=None),
        looked_by=frozenset[str]().union(*(search.looked_by for search in readable)),
    )
