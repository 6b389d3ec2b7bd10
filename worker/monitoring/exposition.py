"""All metrics of one account's worker, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exposition:
    """A registry of this account alone: nothing of it is shared with another one in the same process."""

    def __init__(self, account: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # Linux only; elsewhere it tells nothing
        self._labelled = CollectorRegistry()
        self._labelled.register(_OfAccount(self.registry, account))

    def register(self, collectors: Iterable[Collector]) -> None:
        """Add collectors of more metrics."""
        for collector in collectors:
            self.registry.register(collector)

    def text(self) -> bytes:
        """Return everything as it stands now."""
        return generate_latest(self._labelled)


class _OfAccount(Collector):
    """Puts the account on every series, and leaves out when each began: nobody asks for that."""

    def __init__(self, registry: CollectorRegistry, account: str) -> None:
        self._registry, self._account = registry, account

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: whoever registers must not ask for values that are not there yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the registry with one label more."""
        for metric in self._registry.collect():
            labelled = Metric(metric.name, metric.documentation, metric.type, metric.unit)
            labelled.samples = [
                sample._replace(labels={"account": self._account, **sample.labels})
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ]
            yield labelled
