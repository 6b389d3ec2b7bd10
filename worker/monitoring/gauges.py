"""Gauges: how the worker stands, as its last heartbeat has left it; nothing is asked of anybody for a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.metering import Backlog
from worker.monitoring import labels
from worker.monitoring.health import Pulse, Vitals

_ABOUT = {
    "ready": "Whether trades are executed: everything that this needs is there.",
    "lease_held": "Whether this worker holds the account's lease, as far as it knows.",
    "lease_epoch": "The number of the lease that this worker holds or has held; it grows with each take-over.",
    "halted": "Whether an operator, or the worker itself, has halted the account.",
    "halted_symbols": "How many single symbols are halted.",
    "waiting_for_terminal": "Trades that wait for a terminal that can trade.",
    "last_comparison_age_seconds": "How long ago all of the broker's deals were last compared with the ledger.",
    "clock_ahead_seconds": "How far the last approval was ahead of this clock; 0 within the tolerance.",
    "unresolved": "Trades whose order may or may not stand at the broker: each needs a person.",
    "oldest_open_seconds": "Age of the oldest trade that is not settled; 0 without any.",
    "oldest_dead_letter_seconds": "How long the oldest dead letter has waited for an operator; 0 without any.",
    "outbox_messages": "Messages that are committed and not yet published.",
    "outbox_age_seconds": "Age of the oldest of these; 0 without any.",
}
_OF_BACKLOG = (
    "unresolved",
    "oldest_open_seconds",
    "oldest_dead_letter_seconds",
    "outbox_messages",
    "outbox_age_seconds",
)


class Gauges(Collector):
    """Tells of the vitals, and of the alerts that were raised. What is not known is left out, never said to be 0."""

    def __init__(self, pulse: Pulse, alerts: Callable[[], Mapping[str, int]], about: Mapping[str, str]) -> None:
        self._pulse, self._alerts, self._about = pulse, alerts, about

    def collect(self) -> Iterator[Metric]:
        """Yield all of it, as it stands now."""
        yield _gauge("info", "Which program this is.", dict.fromkeys([tuple(self._about.values())], 1), *self._about)
        yield _gauge("loop_lag_seconds", "How late the event loop came to its work, at worst of late.", self._pulse.lag)
        yield _one("ready", self._pulse.ready().is_well)
        yield _one("lease_held", self._pulse.lease_held)
        yield _alerts(self._alerts())
        if self._pulse.live().is_well:  # what a beat has left long ago may not be so any more
            yield from _of_last_beat(self._pulse.vitals)


def _of_last_beat(vitals: Vitals) -> Iterator[Metric]:
    yield from _standing(vitals)
    yield from _connections(vitals)
    if vitals.backlog is not None:
        yield from _left_to_do(vitals.backlog)


def _standing(vitals: Vitals) -> Iterator[Metric]:
    for name in (
        "lease_epoch", "halted", "halted_symbols",
        "waiting_for_terminal", "last_comparison_age_seconds", "clock_ahead_seconds",
    ):  # fmt: skip
        value = getattr(vitals, name)
        if value is not None:
            yield _one(name, value)
    if vitals.replies_lost is not None:
        about = "Copies of confirmations for `reply_to` that found nobody; the confirmations are not affected."
        yield _counter("replies_lost", about, vitals.replies_lost)


def _connections(vitals: Vitals) -> Iterator[Metric]:
    yield _gauge("connected", "Whether the service is reached.", vitals.connected, "service")
    yield _gauge("terminal_up", "Whether the session's terminal can trade.", vitals.terminal_up, "session")
    about = "Connections made anew in the place of lost ones."
    yield _counter("reconnects", about, vitals.reconnects, "service")
    about = "Terminal sessions opened anew in the place of lost ones."
    yield _counter("session_restarts", about, vitals.session_restarts, "session")


def _left_to_do(backlog: Backlog) -> Iterator[Metric]:
    about = "Trades that are not settled, by the state of their execution."
    in_flight = _sums(backlog.in_flight, labels.OPEN_STATES)
    yield _gauge("in_flight", about, in_flight, "state")
    about = "Dead letters that wait for an operator, by their reason."
    yield _gauge("dead_letters", about, _sums(backlog.dead_letters, labels.REFUSALS | {labels.OTHER}), "reason")
    for name in _OF_BACKLOG:
        yield _one(name, getattr(backlog, name))


def _alerts(raised: Mapping[str, int]) -> Metric:
    return _counter(
        "alerts", "Log lines that ask for a person.", _sums(raised, labels.ALERTS | {labels.OTHER}), "alert"
    )


def _sums(counts: Mapping[str, int], among: frozenset[str]) -> Mapping[str, int]:
    """Return a count for each of the known names, 0 included; those of all others together."""
    sums = dict.fromkeys(sorted(among), 0)
    for name, count in counts.items():
        known = labels.known(name, among)
        sums[known] = sums.get(known, 0) + count
    return sums


def _one(name: str, value: float) -> Metric:
    return _gauge(name, _ABOUT[name], value)


Values = float | Mapping[str, int] | Mapping[str, bool] | Mapping[tuple[str, ...], int]


def _gauge(name: str, about: str, values: Values, *label_names: str) -> Metric:
    return _filled(GaugeMetricFamily(f"mt5_worker_{name}", about, labels=label_names), values)


def _counter(name: str, about: str, values: Values, *label_names: str) -> Metric:
    return _filled(CounterMetricFamily(f"mt5_worker_{name}", about, labels=label_names), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Values) -> Metric:
    each = values.items() if isinstance(values, Mapping) else [((), values)]
    for label_values, value in each:
        family.add_metric([label_values] if isinstance(label_values, str) else label_values, float(value))
    return family
