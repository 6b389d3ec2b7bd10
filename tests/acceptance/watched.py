"""A desk under the eyes of a real Prometheus, in which time runs faster."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.acceptance.desk import Desk, eventually
from tests.fixtures.prometheus import PrivatePrometheus, prometheus_at

TIMES = 60  # a minute in a second
PATIENCE_SECONDS = 40.0
LINGER_SECONDS = 8.0  # longer than a lease and the `for` of most alerts
QUIET_SECONDS = 3.0  # longer than the `for` of all alerts but one


@dataclass
class Watched:
    """A desk, and the Prometheus that scrapes its workers and judges them by the project's rules."""

    desk: Desk
    prometheus: PrivatePrometheus

    @contextmanager
    def tells(self, *alerts: str, silent: Collection[str] = ()) -> Iterator[None]:
        """
        Hold the block to be what makes these alerts fire: none of them does before, each of them does after it.

        Those in `silent` must not, also a while later, as the alert on their cause does.
        """
        assert not self.prometheus.firing().keys() & set(alerts)
        seen: set[str] = set()

        def all_told() -> bool:
            for name, alert in self.prometheus.firing().items():
                assert alert["labels"]["account"] == self.desk.account
                seen.add(name)
            return seen >= set(alerts)

        yield
        try:
            eventually(all_told, "not all alerts fire", PATIENCE_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}; silent: {set(alerts) - seen}, fired: {seen}") from None
        if silent:
            time.sleep(LINGER_SECONDS)  # nothing happens, and that is the point
            all_told()
            assert not seen & set(silent)

    def is_scraped(self, workers: int = 1) -> None:
        """Wait until so many workers answer Prometheus."""
        eventually(
            lambda: len(self.prometheus.ask("query?query=up==1")["result"]) == workers, "a worker is not scraped"
        )

    def calms_down(self) -> None:
        """Wait until nothing fires."""
        eventually(lambda: not self.prometheus.firing(), "some alerts go on", PATIENCE_SECONDS)

    def stays_calm(self) -> None:
        """Hold that nothing fires, for a while."""
        self.calms_down()
        time.sleep(QUIET_SECONDS)  # nothing happens, and that is the point
        assert self.prometheus.firing() == {}


@contextmanager
def watch(desk: Desk) -> Iterator[Watched]:
    """Watch a desk's worker."""
    with prometheus_at(TIMES) as prometheus:
        prometheus.watch(int(desk.settings["HTTP_PORT"]))
        watched = Watched(desk, prometheus)
        watched.is_scraped()
        watched.calms_down()  # from there having been nobody to scrape
        yield watched
