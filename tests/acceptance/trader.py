"""A trader who knows its trades apart: for desks on which many stories are told, one after the other."""

from __future__ import annotations

from tests.acceptance.desk import Desk
from tests.acceptance.oracle import check_run
from tests.acceptance.runs import trades
from tests.fixtures.rpm import Sent, approval
from tests.fixtures.subscriber import Confirmation

PATIENCE_SECONDS = 60.0


class Trader:
    """Publishes trades of which no two have the same size, so that the book tells which order is whose."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.history: list[Sent] = []

    def publish(self, *symbols: str) -> list[Sent]:
        """Publish one trade of each of these symbols: currency pairs, whatever their suffix."""
        run = []
        for symbol in symbols:
            run.append(self.desk.publish(approval(symbol, 1_000.0 * (len(self.history) + 1))))
            self.history.append(run[-1])
        return run

    def run(self, count: int) -> list[Sent]:
        """Publish many trades of many kinds."""
        first = 100 + len(self.history)  # larger than every size of `publish`
        run = [self.desk.publish(message) for message in trades(count, first)]
        self.history += run
        return run

    def all_ended(self, run: list[Sent]) -> list[Confirmation]:
        """Wait for the end of all."""
        return [self.desk.ended(sent, timeout=PATIENCE_SECONDS) for sent in run]

    def all_filled(self, run: list[Sent]) -> list[Confirmation]:
        """Wait for the end of all; each must have been filled."""
        ends = self.all_ended(run)
        assert [one.outcome for one in ends] == [("filled", None)] * len(run)
        return ends

    def judge(self) -> None:
        """Hold everything that was ever done on this desk against the book."""
        check_run(self.desk, self.history)
