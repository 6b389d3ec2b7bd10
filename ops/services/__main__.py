"""``python -m ops.services``: say how tests will get their services, and install what is missing."""

import sys

from ops.services.binaries import find_binaries
from ops.services.errors import ServicesError
from ops.services.packages import install
from ops.services.start import say, way_for_tests
from ops.services.ways import Way


def main() -> int:
    """Return the exit code: 0, or 3 when no way leads to services."""
    try:
        way = way_for_tests()
        if way is Way.INSTALL:
            install(find_binaries().missing_packages, say)
    except ServicesError as error:
        say(str(error))
        return 3
    say(f"RabbitMQ and PostgreSQL: {way}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
