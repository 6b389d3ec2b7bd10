"""What tests and the demo may do with a RabbitMQ and a PostgreSQL, however they came about."""

from dataclasses import dataclass
from typing import Protocol

from ops.services import isolation
from ops.services.ways import Way


class Service(Protocol):
    """One running service. What ends or pauses it raises NotOurs when it was given by its URL only."""

    @property
    def url(self) -> str:
        """Where a client finds the service, with its user and password."""

    def stop(self) -> None:
        """Shut down in order, as a maintenance does."""

    def kill(self) -> None:
        """End at once, as a power cut does."""

    def pause(self) -> None:
        """Fall silent with all connections open, as a hung machine does."""

    def resume(self) -> None:
        """Go on after a pause."""

    def restart(self) -> None:
        """Stop if it runs, start again on the same port and data, and wait until it is ready."""

    def wait_ready(self) -> None:
        """Wait until clients are served."""

    def end(self) -> None:
        """End for good and remove the data."""


class MessageService(Service, Protocol):
    """A RabbitMQ; without a management interface it cannot make virtual hosts."""

    @property
    def management_url(self) -> str | None:
        """URL of the management interface, None when there is none."""


@dataclass(frozen=True)
class Services:
    """A RabbitMQ and a PostgreSQL that are ready."""

    way: Way
    rabbitmq: MessageService
    postgres: Service

    @property
    def amqp_url(self) -> str:
        """RabbitMQ as administrator."""
        return self.rabbitmq.url

    @property
    def postgres_url(self) -> str:
        """PostgreSQL as superuser."""
        return self.postgres.url

    @property
    def isolates(self) -> bool:
        """Tell whether everyone can get a virtual host of his own."""
        return self.rabbitmq.management_url is not None

    def new_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        return isolation.create_database(self.postgres_url, name)

    def drop_database(self, name: str) -> None:
        """Drop a database and end the sessions in it."""
        isolation.drop_database(self.postgres_url, name)

    def new_vhost(self, name: str) -> str:
        """Create a virtual host and return its URL; the given one where none can be created."""
        if self.rabbitmq.management_url is None:
            return self.amqp_url
        return isolation.create_vhost(self.amqp_url, self.rabbitmq.management_url, name)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it."""
        if self.rabbitmq.management_url is not None:
            isolation.delete_vhost(self.rabbitmq.management_url, name)

    def wait_ready(self) -> None:
        """Wait until both serve their clients; raises ServiceFailed when one does not."""
        self.rabbitmq.wait_ready()
        self.postgres.wait_ready()

    def end(self) -> None:
        """End for good what belongs to us."""
        try:
            self.rabbitmq.end()
        finally:
            self.postgres.end()
