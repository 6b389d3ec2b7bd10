"""Logging: structured lines on stderr, for people on a console or for machines as JSON. Secrets are masked."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from worker.settings import LogFormat

_log = structlog.get_logger()
_PASSWORD_IN_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://[^:/@\s]*):[^@\s]*@")


class Alerts:
    """Counts the log lines that ask for a person (those with `alert=True`), by event, since the process began."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Be a processor of structlog."""
        if event.get("alert") is True:
            self._counts[str(event["event"])] += 1
        return event

    def report(self) -> Mapping[str, int]:
        """Return how often each has been raised."""
        return dict(self._counts)


ALERTS = Alerts()


class Outage:
    """
    Tells of a service that several connections use: once that it is away, once that it is back.

    Connections notice an outage one by one, and come back one by one; a person wants to read of it once.
    """

    def __init__(self, service: str, meaning: str) -> None:
        self._service, self._meaning = service, meaning
        self._since: float | None = None
        self._last_end = float("-inf")

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


def configure_logging(level: str, log_format: LogFormat) -> None:
    """Send all log lines, the libraries' too, to stderr in the chosen format."""
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        ALERTS.count,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _mask_secrets,
    ]
    structlog.configure(
        processors=[*processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
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
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str) and "://" in value:
            event[name] = without_password(value)
    return event


def without_password(text: str) -> str:
    """Return text with the password of every URL in it masked."""
    return _PASSWORD_IN_URL.sub(r"\g<scheme>:***@", text)
