"""A private RabbitMQ node from local binaries."""

import os
import signal
from pathlib import Path
from typing import ClassVar

from ops.services.answers import amqp_answers
from ops.services.isolation import management_answers
from ops.services.places import HOST, free_port
from ops.services.private import PrivateService
from ops.services.tree import Command

USER = "services"
_CONFIG = """\
listeners.tcp.default = {host}:{amqp}
management.tcp.ip = {host}
management.tcp.port = {management}
default_user = {user}
default_pass = {password}
disk_free_limit.absolute = 50MB
log.file = false
log.console = true
log.console.level = info
"""


class PrivateRabbitMQ(PrivateService):
    """A RabbitMQ node on 127.0.0.1 with data folder, cookie and port mapper of its own."""

    name: ClassVar = "RabbitMQ"
    preferred_account: ClassVar = "rabbitmq"
    # An orderly end takes seconds and the data is thrown away anyway. Windows, where no service runs, lacks the signal.
    farewell: ClassVar = getattr(signal, "SIGKILL", signal.SIGTERM)
    gentle: ClassVar = signal.SIGTERM
    # Everything is told and written within one second; then the management plugin of 3.x sleeps for five more.
    seconds_to_stop: ClassVar = 3.0
    # Of AMQP and management; of the distribution; of the port mapper, which then is no port mapper.
    words_for_taken: ClassVar = ("eaddrinuse", "dist_port_already_used", "nodistribution")

    def __init__(self, server: Path) -> None:
        super().__init__()
        self._server = server
        self._amqp = self._management = self._distribution = self._mapper = 0

    @property
    def url(self) -> str:
        """URL of the default virtual host as administrator."""
        return f"amqp://{USER}:{self.password}@{HOST}:{self._amqp}/%2F"

    @property
    def management_url(self) -> str:
        """URL of the management interface as administrator; needed to make virtual hosts."""
        return f"http://{USER}:{self.password}@{HOST}:{self._management}"

    def take_ports(self) -> None:
        """Choose the four ports of a node and write its configuration."""
        self._amqp, self._management, self._distribution, self._mapper = (free_port() for _ in range(4))
        config = _CONFIG.format(
            host=HOST, amqp=self._amqp, management=self._management, user=USER, password=self.password
        )
        self._file("rabbitmq.conf", config)
        self._file("enabled_plugins", "[rabbitmq_management].\n")
        self._file("rabbitmq-env.conf", "")

    def command(self) -> Command:
        """Run the server script; all it would take from the system is pointed to our own folder."""
        own = self.folder
        environment = {
            "PATH": f"{self._server.parent}:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "HOME": str(own),
            "RABBITMQ_NODENAME": f"mt5-worker-{self._amqp}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(own / "data"),
            "RABBITMQ_LOG_BASE": str(own / "log"),
            "RABBITMQ_CONFIG_FILE": str(own / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(own / "rabbitmq-env.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(own / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(own / "config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(own / "enabled_plugins"),
            # Without a shell as supervisor in between: signals and the exit reach the node itself.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self._mapper),
            "ERL_EPMD_ADDRESS": HOST,
        }
        return Command([str(self._server)], environment, self.user, str(own))

    def answers(self) -> bool:
        """Tell whether it serves clients, and is really ours: nobody else's node knows the password."""
        return amqp_answers(self.url) and management_answers(self.management_url)

    def _file(self, name: str, content: str) -> None:
        file = self.folder / name
        file.write_text(content)
        file.chmod(0o600)
        if self.user:
            os.chown(file, self.folder.stat().st_uid, -1)
