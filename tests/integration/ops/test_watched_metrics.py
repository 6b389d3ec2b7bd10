"""What alerts and dashboard ask for is what the worker tells: the same names, the same labels."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fixtures.prometheus import OPS, RULES
from worker.clock import SystemClock
from worker.metering import Backlog
from worker.monitoring.exposition import Exposition
from worker.monitoring.gauges import Gauges
from worker.monitoring.health import Pulse, Vitals
from worker.monitoring.instruments import Instruments

_NAME = re.compile(r"\b(?:mt5_worker|process)_\w+")
_LABEL = re.compile(r'(\w+)(?:=|!=|=~|!~)\\?"([^"\\]+)\\?"')
_OF_PROMETHEUS = {"job", "instance", "account", "alertstate", "severity"}  # known to itself, its settings and its rules
WATCHING = (RULES, RULES.with_name("alerts_test.yml"), OPS / "grafana" / "dashboard.json")


@pytest.fixture(scope="module")
def told() -> str:
    """Return everything a worker tells that knows all there is to know."""
    backlog = Backlog({}, 0.0, 0, {}, 0.0, 0, 0.0)
    vitals = Vitals(
        missing=(),
        halted=False,
        halted_symbols=0,
        connected={"rabbitmq": True, "postgresql": True},
        reconnects={"rabbitmq": 0, "postgresql": 0},
        terminal_up={"main": True},
        session_restarts={"main": 0},
        waiting_for_terminal=0,
        replies_lost=0,
        last_comparison_age_seconds=0.0,
        clock_ahead_seconds=0.0,
        backlog=backlog,
    )
    exposition = Exposition("main")
    exposition.register([Gauges(Pulse(vitals), dict, {"version": "1", "backend": "simulated"})])
    Instruments(exposition.registry, SystemClock(), Decimal(10))
    return exposition.text().decode()


@pytest.mark.parametrize("watching", WATCHING, ids=lambda path: path.name)
def test_every_metric_that_is_asked_for_is_told(watching: Path, told: str) -> None:
    asked = set(_NAME.findall(watching.read_text()))
    names = {line.partition("{")[0].partition(" ")[0] for line in told.splitlines() if not line.startswith("#")}

    assert asked
    assert asked - names == set()


@pytest.mark.parametrize("watching", WATCHING, ids=lambda path: path.name)
def test_every_label_that_is_asked_for_is_told(watching: Path, told: str) -> None:
    text = re.sub(r"\$\w+", "", watching.read_text())
    asked = {(label, value) for label, values in _LABEL.findall(text) for value in values.split("|")}
    labels = {(label, value) for label, value in re.findall(r'(\w+)="([^"]*)"', told)}

    assert {one for one in asked - labels if one[0] not in _OF_PROMETHEUS} == set()
