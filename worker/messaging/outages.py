"""What a failed or lost connection means, in a sentence that says what to do."""

from __future__ import annotations

import ssl

import pika
from pika import exceptions
from pika.adapters.utils import connection_workflow

from worker.domain.errors import MessagingUnavailable
from worker.messaging.errors import AccessRefused


def explained(error: BaseException, parameters: pika.URLParameters) -> MessagingUnavailable:
    """Return what happened and what to do; AccessRefused when a person must act. Never holds the password."""
    cause = _root(error)
    return _refusal(cause, parameters) or MessagingUnavailable(
        f"RabbitMQ at {parameters.host}:{parameters.port} {_loss(cause, parameters)}"
    )


def _refusal(cause: BaseException, parameters: pika.URLParameters) -> AccessRefused | None:
    match cause:
        # pika guesses from the moment of the loss; only RabbitMQ's own code tells a refusal from a restart.
        case exceptions.ProbableAuthenticationError(args=[str() as said]) if "(403)" in said:
            return _login_refused(parameters)
        case exceptions.ProbableAccessDeniedError(args=[str() as said]) if "(530)" in said:
            return _vhost_refused(parameters, said.partition(") ")[2])
    return None


def _login_refused(parameters: pika.URLParameters) -> AccessRefused:
    return AccessRefused(
        f"RabbitMQ at {parameters.host}:{parameters.port} refused user '{parameters.credentials.username}' "
        "or the password: correct AMQP_URL, or create the user"
    )


def _vhost_refused(parameters: pika.URLParameters, text: str) -> AccessRefused:
    return AccessRefused(
        f"RabbitMQ at {parameters.host}:{parameters.port} does not let user '{parameters.credentials.username}' into "
        f"virtual host '{parameters.virtual_host}': create it, grant permissions, or correct AMQP_URL. It said {text}"
    )


def _loss(cause: BaseException, parameters: pika.URLParameters) -> str:
    match cause:
        case exceptions.ConnectionClosedByBroker(reply_text=text):
            words = f"closed the connection: {text}"
        case exceptions.AMQPHeartbeatTimeout():
            words = "has stopped answering (no heartbeat): look whether it hangs, or the network does"
        case exceptions.ConnectionBlockedTimeout():
            words = f"took no messages for {parameters.blocked_connection_timeout:.0f} s: look at its alarms"
        case exceptions.IncompatibleProtocolError():
            words = "does not speak AMQP 0-9-1 there: correct host, port or amqp(s):// in AMQP_URL"
        case ssl.SSLError():
            words = f"offers no TLS connection ({cause}): check amqps:// and the certificates"
        case exceptions.ConnectionClosedByClient():
            words = "was left by this program"
        case _:
            words = f"does not answer ({_words(cause)}): start it, or correct AMQP_URL"
    return words


def _root(error: BaseException) -> BaseException:
    """Return what really happened: pika wraps it in what it was doing at that moment, several times over."""
    match error:
        case connection_workflow.AMQPConnectionWorkflowFailed(exceptions=[*_, last]):
            return _root(last)
        case connection_workflow.AMQPConnectorPhaseErrorBase(exception=BaseException() as inner):
            return _root(inner)
        case exceptions.AMQPConnectionError(args=[BaseException() as inner, *_]):
            return _root(inner)
    return error


def _words(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
