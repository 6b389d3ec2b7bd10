"""What AMQP_URL says, as pika wants it."""

from __future__ import annotations

import ssl
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pika

from worker.domain.errors import WrongSetting

HEARTBEAT_SECONDS = 5
"""
A dead peer is noticed after two or three of them, and only then gives RabbitMQ a frozen worker's queue to its standby.
A worker whose loop stood still for as long has lost its lease anyway.
"""

BLOCKED_SECONDS = 300
"""How long RabbitMQ may refuse to take messages (memory or disk alarm) before the connection is made anew."""

_TLS_OPTIONS = {"cacertfile", "certfile", "keyfile", "verify", "server_name_indication"}


def parameters(url: str, name: str) -> pika.URLParameters:
    """
    Return connection parameters for an `amqp://` or `amqps://` URL; `name` is what RabbitMQ's operators see.

    Understands pika's query parameters and the TLS ones of RabbitMQ's URI specification (`cacertfile`, `certfile`,
    `keyfile`, `verify`, `server_name_indication`). A server's certificate is verified unless `verify=verify_none`.
    Raises WrongSetting, whose text never holds the password.
    """
    _check_address(url)
    plain, tls = _without_tls_options(url)
    try:
        found = pika.URLParameters(plain)
        if tls:
            found.ssl_options = _ssl_options(tls, found.host)
    except (ValueError, TypeError, SyntaxError, OSError) as error:
        raise WrongSetting(f"AMQP_URL: {error}") from None
    if "heartbeat=" not in url:
        found.heartbeat = HEARTBEAT_SECONDS
    if "blocked_connection_timeout=" not in url:
        found.blocked_connection_timeout = BLOCKED_SECONDS
    found.client_properties = {"connection_name": name, "product": "mt5-worker"}
    return found


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise WrongSetting("AMQP_URL: no host and port can be read from it (percent-encode / @ : [ in it)") from None
    if port == 0 or not parts.hostname:
        raise WrongSetting("AMQP_URL: names no host and port, as in amqp://user:password@host:5672/vhost")
    if parts.username is not None and parts.password is None:
        raise WrongSetting("AMQP_URL: has a user name and no password")


def _without_tls_options(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    tls = {name: value for name, value in options if name in _TLS_OPTIONS}
    if tls and parts.scheme != "amqps":
        raise WrongSetting(f"AMQP_URL: {', '.join(tls)} only makes sense with amqps://")
    rest = urlencode([(name, value) for name, value in options if name not in _TLS_OPTIONS])
    return urlunsplit(parts._replace(query=rest)), tls


def _ssl_options(tls: dict[str, str], host: str) -> pika.SSLOptions:
    context = ssl.create_default_context(cafile=tls.get("cacertfile"))
    if tls.get("verify") == "verify_none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "certfile" in tls:
        context.load_cert_chain(tls["certfile"], tls.get("keyfile"))
    return pika.SSLOptions(context, tls.get("server_name_indication", host))
