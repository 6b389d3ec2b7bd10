"""The machine and the versions that were measured, and what processes of which kind cost on it."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pika
import psutil
import psycopg

from ops.services import Services, Way

_ROOT = Path(__file__).parents[2]
_LIBRARIES = ("pika", "psycopg", "pydantic", "faststream", "dramatiq")
_POSTGRES = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")

KINDS = ("worker", "terminal", "PostgreSQL", "RabbitMQ", "contestant")
"""Kinds of processes: the worker, its terminals' processes, the two services, and what the worker is compared with."""


def describe(services: Services) -> dict[str, str]:
    """Return what was measured on what, by name."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores, shared by everything that runs",
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "RabbitMQ": f"{_rabbitmq_version(services)}, quorum queues",
        "PostgreSQL": _postgres_version(services),
        "services": str(services.way),
        "libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
        "revision": _revision(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return named[0] if named else platform.machine()


def _rabbitmq_version(services: Services) -> str:
    connection = pika.BlockingConnection(pika.URLParameters(services.amqp_url))
    try:
        return str(connection._impl.server_properties["version"])  # noqa: SLF001 - pika shows it nowhere else
    finally:
        connection.close()


def _postgres_version(services: Services) -> str:
    with psycopg.connect(services.postgres_url) as connection:
        told = {name: connection.execute(f"show {name}").fetchone() for name in _POSTGRES}
    known = {name: row[0] for name, row in told.items() if row}
    number = known.pop("server_version")
    return f"{number}, {', '.join(f'{name} {value}' for name, value in known.items())}"


def _revision() -> str:
    """Return the commit of the checkout; a copy without one has none."""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - fixed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@dataclass(frozen=True)
class Process:
    """What one process has used so far: CPU seconds, its ended children's with it; resident memory in bytes."""

    kind: str
    cpu: float
    rss: int


@dataclass(frozen=True)
class Usage:
    """What all processes of this run use, by process number, at one moment."""

    processes: Mapping[int, Process]

    def cpu_since(self, earlier: Usage) -> dict[str, float]:
        """Return CPU seconds used since then, by kind. A process that ended meanwhile counts only if it was reaped."""
        seconds = dict.fromkeys(KINDS, 0.0)
        for number, process in self.processes.items():
            before = earlier.processes.get(number)
            seconds[process.kind] += process.cpu - (before.cpu if before else 0.0)
        return seconds

    def rss(self) -> dict[str, int]:
        """Return resident bytes by kind; pages that processes share count for each of them."""
        resident = dict.fromkeys(KINDS, 0)
        for process in self.processes.values():
            resident[process.kind] += process.rss
        return resident


def usage(services: Services) -> Usage:
    """Look at the processes of this run now."""
    return Usage(dict(_look(services.way)))


def _look(way: Way) -> Iterator[tuple[int, Process]]:
    for process in _candidates(way):
        try:
            kind = _kind(process.cmdline())
            if kind is not None:
                times = process.cpu_times()
                cpu = times.user + times.system + times.children_user + times.children_system
                yield process.pid, Process(kind, cpu, process.memory_info().rss)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended while we looked, or is somebody else's


def _candidates(way: Way) -> Iterator[psutil.Process]:
    """Private services are our descendants; of others only the names are known."""
    if way in {Way.LOCAL, Way.INSTALL}:
        yield from psutil.Process().children(recursive=True)
    else:
        yield from psutil.process_iter()


def _kind(command: list[str]) -> str | None:
    words = " ".join(command)
    if "worker.mt5.session_process" in words:
        return "terminal"
    if command[1:] == ["-m", "worker", "run"]:
        return "worker"
    if any(word.startswith("ops.bench.contestants") for word in command):
        return "contestant"
    if "beam.smp" in words:
        return "RabbitMQ"
    program = Path(command[0]).name if command else ""
    return "PostgreSQL" if program.startswith("postgres") else None
