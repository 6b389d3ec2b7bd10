"""``python -m ops.services``: say how tests will get their services, and install what is missing."""

import sys

from ops.services.binaries import find_binaries
from ops.services.errors import ServicesError
from ops.services.given import given_services, require_isolation
from ops.services.machine import ThisMachine
from ops.services.packages import install
from ops.services.start import say
from ops.services.testcontainers import Testcontainers
from ops.services.ways import Way, choose


def main() -> int:
    """Return the exit code: 0, or 3 when no way leads to services."""
    try:
        way = choose(ThisMachine(Testcontainers()))
        if way is Way.INSTALL:
            install(find_binaries().missing_packages, say)
        if way is Way.GIVEN:
            require_isolation(given_services(lambda _sentence: None))
    except ServicesError as error:
        say(str(error))
        return 3
    say(f"RabbitMQ and PostgreSQL: {way}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
