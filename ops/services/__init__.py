"""A real RabbitMQ and a real PostgreSQL for tests and the demo, from whatever this machine offers."""

from ops.services.errors import NotOurs, ServiceFailed, ServicesError, ServicesUnavailable
from ops.services.service import Services
from ops.services.start import start_services
from ops.services.ways import Way

__all__ = [
    "NotOurs",
    "ServiceFailed",
    "Services",
    "ServicesError",
    "ServicesUnavailable",
    "Way",
    "start_services",
]
