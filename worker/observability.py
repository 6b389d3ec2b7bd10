"""Logging: structured lines on stderr, for people on a console or for machines as JSON."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import Any

import structlog

from worker.plain_text import LONGEST_DETAIL, Cleaner
from worker.settings import LogFormat

KEPT_ERRORS = 10
_DETAILS = ("detail", "why", "error", "exception", "problem", "meaning")  # the first that a line has tells most

_log = structlog.get_logger()


class Alerts:
    """What asks for a person since the process began: alerts (lines with `alert=True`) by event, the last errors."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._last: deque[Mapping[str, str]] = deque(maxlen=KEPT_ERRORS)
        self._one_at_a_time = threading.Lock()  # terminals' threads tell, too

    def note(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Be a processor of structlog, after those that give a line its time and level, and clean it."""
        is_alert = event.get("alert") is True
        if is_alert or event.get("level") in {"error", "critical"}:
            with self._one_at_a_time:
                self._counts[str(event["event"])] += is_alert
                self._last.append(_in_short(event))
        return event

    def report(self) -> Mapping[str, int]:
        """Return how often each alert has been raised."""
        with self._one_at_a_time:
            return {event: count for event, count in self._counts.items() if count}

    def last_errors(self) -> Sequence[Mapping[str, str]]:
        """Return the last errors and alerts, the newest last: when (`at`, ISO 8601 UTC), `event` and `detail`."""
        with self._one_at_a_time:
            return list(self._last)


ALERTS = Alerts()


def _in_short(event: Mapping[str, Any]) -> Mapping[str, str]:
    told = next((str(event[name]) for name in _DETAILS if event.get(name)), "")
    last_line = told.strip().rpartition("\n")[2]  # of an exception: what was raised
    return {"at": str(event.get("timestamp", "")), "event": str(event["event"]), "detail": last_line[:LONGEST_DETAIL]}


class Outage:
    """
    Tells of a service that several connections use: once that it is away, once that it is back.

    Connections notice an outage one by one, and come back one by one; a person wants to read of it once.
    """

    def __init__(self, service: str, meaning: str) -> None:
        self.reconnects = 0  # connections made anew in the place of lost ones, also while the service was there
        self._service, self._meaning = service, meaning
        self._since: float | None = None
        self._last_end = float("-inf")

    @property
    def is_on(self) -> bool:
        """Tell whether the service is away, as far as any connection has noticed."""
        return self._since is not None

    def lost(self, why: str, tried_at: float | None = None) -> None:
        """Tell that it is away, unless that is known, or was found (monotonic seconds) before it came back."""
        if self._since is None and (tried_at is None or tried_at >= self._last_end):
            self._since = time.monotonic()
            _log.warning(f"{self._service} lost", why=why, meaning=self._meaning)

    def back(self) -> None:
        """Tell that it is back, if it was away."""
        if self._since is not None:
            self._last_end = time.monotonic()
            _log.info(f"{self._service} back", after_seconds=round(self._last_end - self._since, 1))
            self._since = None


def configure_logging(
    level: str, log_format: LogFormat, secrets: Collection[str] = (), account: str | None = None
) -> None:
    """
    Send all log lines, the libraries' too, to stderr in the chosen format.

    Every line names the `account`, if there is one; no line shows one of the `secrets`, however they are written.
    """
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _with_account(account),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        Cleaner(secrets).clean,
        ALERTS.note,
    ]
    structlog.configure(
        processors=[*processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),  # what is not written costs next to nothing
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # every connection's story is told once, by messaging itself
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _renderer(log_format: LogFormat) -> structlog.typing.Processor:
    if log_format is LogFormat.JSON:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _with_account(account: str | None) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if account is not None:
            event.setdefault("account", account)
        return event

    return add
