"""What monitoring systems can ask for: health and metrics, by path."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from worker.monitoring.exposition import CONTENT_TYPE, Exposition
from worker.monitoring.health import Answer, Pulse
from worker.monitoring.http import Reply, Routes


def routes(pulse: Pulse, exposition: Exposition) -> Routes:
    """Return what is answered at each path."""
    return {
        "/health/live": partial(_health, pulse.live),
        "/health/ready": partial(_health, pulse.ready),
        "/metrics": lambda: Reply(HTTPStatus.OK, CONTENT_TYPE, exposition.text()),
    }


def _health(ask: Callable[[], Answer]) -> Reply:
    answer = ask()
    status = HTTPStatus.OK if answer.is_well else HTTPStatus.SERVICE_UNAVAILABLE
    return Reply(status, "application/json", json.dumps(answer.about).encode() + b"\n")
