"""
How RabbitMQ fails, beyond not being there.

::

    MessagingUnavailable      (worker.domain.errors)
     ├─ AccessRefused         wrong user, password or virtual host: a person must act
     ├─ ChannelClosed         RabbitMQ refused one request and closed the channel it came on
     └─ ConsumerCancelled     RabbitMQ took the consumer off its queue
"""

from __future__ import annotations

from http import HTTPStatus

from worker.domain.errors import MessagingUnavailable


class AccessRefused(MessagingUnavailable):
    """RabbitMQ is there and does not let this user in."""


class ChannelClosed(MessagingUnavailable):
    """RabbitMQ closed a channel; `code` and `text` are its own words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"RabbitMQ answered {code}: {text}")
        self.code = code
        self.text = text

    @property
    def not_found(self) -> bool:
        """Tell whether the exchange or queue asked for does not exist."""
        return self.code == HTTPStatus.NOT_FOUND

    @property
    def forbidden(self) -> bool:
        """Tell whether this user lacks the right to what was asked for."""
        return self.code == HTTPStatus.FORBIDDEN

    @property
    def mismatch(self) -> bool:
        """Tell whether the exchange or queue exists with other arguments than those asked for."""
        return self.code == HTTPStatus.NOT_ACCEPTABLE


class ConsumerCancelled(MessagingUnavailable):
    """The queue was deleted, or is moving to another node."""
