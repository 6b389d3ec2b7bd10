"""
Every pair of points, in few runs: ended at one, the worker is ended at the other in the life that follows.

A run in which the worker dies at A, then at B, then at C has shown the pairs A-B and B-C. A sequence in which every
pair of points stands side by side exactly once (de Bruijn's, of order two) therefore needs one life for each pair. It
is cut into chains, each beginning with the point at which the one before it has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

LIVES = 24  # in one run: a failure can still be told apart, and setting up is paid rarely

# The points that leave different traces outside of the process, one for each sort of trace. Where a transaction has not
# been committed ("before" and "within"), or a question only was asked (quotes, polls, searches), the world is as it was
# after the step before; a trade settled in one way is like one settled in another. Those points are all tried singly,
# and drawn pairs of them.
LASTING = (
    "amqp.ack.before.approved=kill",
    "amqp.ack.before.dead=kill",
    "amqp.publish.after.confirmation=kill",
    "amqp.publish.after.dead_letter=kill",
    "amqp.confirm.before=kill",
    "ledger.commit.within.submitting.submitting=kill",
    "ledger.commit.within.received.proved_absent=kill",
    "ledger.commit.after.admit=kill",
    "ledger.commit.after.refuse=kill",
    "ledger.commit.after.take_in=kill",
    "ledger.commit.after.mark=kill",
    "ledger.commit.after.submitting.submitting=kill",
    "ledger.commit.after.accepted.answered=kill",
    "ledger.commit.after.unknown.answered=kill",
    "ledger.commit.after.received.proved_absent=kill",
    "ledger.commit.after.cancelling.cancelling=kill",
    "ledger.commit.after.filled.settled=kill",
    "ledger.commit.after.error.settled=kill",
    "ledger.take.after=kill",
    "ledger.release.after=kill",
    "session.send.before.submit=kill-all",
    "session.send.after.submit=kill-all",
    "session.send.before.cancel=kill-all",
    "session.send.after.cancel=kill-all",
    "session.answer.before.submit=kill-all",
    "pipe.answer.after.submit=kill",
)


def side_by_side(points: Sequence[str]) -> Iterator[str]:
    """Yield a sequence in which every pair of points, a point with itself too, stands side by side exactly once."""
    for place, first in enumerate(points):
        yield first
        for second in points[place + 1 :]:
            yield first
            yield second
    yield points[0]


def chains(points: Sequence[str], lives: int = LIVES) -> Iterator[tuple[str, ...]]:
    """Cut the sequence into chains of so many pairs, the last one shorter."""
    sequence = tuple(side_by_side(points))
    for begin in range(0, len(sequence) - 1, lives):
        yield sequence[begin : begin + lives + 1]
