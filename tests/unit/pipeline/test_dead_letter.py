"""A dead letter carries its message as it came, so that a replay is refused for the same reason, or for none."""

from __future__ import annotations

from datetime import UTC, datetime

from worker.domain.message import IncomingMessage
from worker.messaging import envelope
from worker.pipeline.dead_letter import Failure, dead_letter


def test_what_a_body_is_written_in_is_kept() -> None:
    message = IncomingMessage(b"\x1f\x8b", content_type="application/json", content_encoding="gzip")
    failure = Failure("unsupported_version", "send plain UTF-8 JSON", datetime(2026, 3, 2, tzinfo=UTC), "host:1")

    properties = envelope.outgoing(dead_letter(message, "main", failure))

    assert (properties.content_type, properties.content_encoding) == ("application/json", "gzip")
