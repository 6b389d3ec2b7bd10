"""What can go wrong with services, in words for the person who started the command.

::

    ServicesError
    ├── ServicesUnavailable     no way to get services on this machine; says what to do
    ├── ServiceFailed           a service did not come up; carries the end of its log
    └── NotOurs                 asked to stop or pause a service that belongs to someone else
"""


class ServicesError(Exception):
    """A problem with RabbitMQ or PostgreSQL for tests and the demo; its text stands for itself."""


class ServicesUnavailable(ServicesError):
    """None of the ways to get a RabbitMQ and a PostgreSQL is open on this machine."""


class ServiceFailed(ServicesError):
    """A service ended or stayed silent while we waited for it.

    ``log`` holds the last lines it wrote.
    """

    def __init__(self, message: str, log: str) -> None:
        super().__init__(f"{message}\n{log}" if log else message)
        self.log = log


class NotOurs(ServicesError):
    """The service was given by its address only: this program must not stop or pause it."""
