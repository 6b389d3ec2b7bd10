"""The machine we are on, as far as it decides where services come from."""

import os

from ops.services import packages
from ops.services.binaries import find_binaries
from ops.services.engine import Engine
from ops.services.ways import AMQP_VARIABLE, POSTGRES_VARIABLE


class ThisMachine:
    """Answers the questions of ``ways.choose`` by looking."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def given_urls(self) -> list[str]:
        """Return the names of the variables that are set."""
        return [name for name in (AMQP_VARIABLE, POSTGRES_VARIABLE) if os.environ.get(name)]

    def docker_answers(self) -> bool:
        """Tell whether the engine answers."""
        return self._engine.answers()

    def missing_packages(self) -> list[str]:
        """Return the packages that would bring the missing programs; empty when all are there."""
        return find_binaries().missing_packages

    def can_install(self) -> bool:
        """Tell whether apt may be used."""
        return packages.can_install()
