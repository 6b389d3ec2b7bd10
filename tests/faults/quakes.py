"""Quakes: RabbitMQ and PostgreSQL themselves are killed, stopped and frozen, below all storms at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import nullcontext
from random import Random
from typing import Self

from ops.services import Services
from ops.services.service import Service
from tests.faults.storm import Births

COME_OF_AGE_SECONDS = 4.0  # of a queue, before RabbitMQ may be killed
FROZEN_SECONDS = 2.0


class Quakes:
    """Shakes the services again and again, in a thread of its own, in the order of a seed, while the block lasts."""

    def __init__(self, services: Services, births: Births, seed: int, every_seconds: float) -> None:
        self.counted: Counter[str] = Counter()
        self._services, self._births, self._every_seconds = services, births, every_seconds
        self._random = Random(seed)  # noqa: S311 - it is to be repeatable
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quakes", daemon=True)
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._every_seconds * self._random.uniform(0.5, 1.5)):
                self._shake(self._random.choice(["RabbitMQ", "PostgreSQL"]), self._random.choice(list(_QUAKES)))
        except Exception as failure:  # noqa: BLE001 - raised again where the block ends
            self._failure = failure

    def _shake(self, name: str, how: str) -> None:
        rabbitmq = name == "RabbitMQ"
        service = self._services.rabbitmq if rabbitmq else self._services.postgres
        with self._births.none() if rabbitmq else nullcontext():
            _QUAKES[how](service)
        self.counted[f"{name} {how}"] += 1


def _kill(service: Service) -> None:
    service.kill()
    service.restart()


def _stop(service: Service) -> None:
    service.stop()
    service.restart()


def _freeze(service: Service) -> None:
    service.pause()
    time.sleep(FROZEN_SECONDS)
    service.resume()
    service.wait_ready()


_QUAKES = {"killed": _kill, "stopped": _stop, "frozen": _freeze}
