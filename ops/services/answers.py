"""Asks a service whether it is ready, as a client of it would."""

import socket
from urllib.parse import urlsplit

import psycopg

_PATIENCE_SECONDS = 2.0
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"
_AMQP_PORT = 5672


def amqp_answers(url: str) -> bool:
    """Tell whether a RabbitMQ there begins a connection (it does so only when it has started completely)."""
    try:
        place = urlsplit(url)
        address = (place.hostname or "localhost", place.port or _AMQP_PORT)
        with socket.create_connection(address, timeout=_PATIENCE_SECONDS) as connection:
            connection.sendall(_AMQP_HEADER)
            return connection.recv(1) == _METHOD_FRAME
    except (OSError, ValueError):  # ValueError: the port in the URL is none
        return False


def postgres_answers(url: str) -> bool:
    """Tell whether a PostgreSQL there accepts the user and answers a query."""
    try:
        with psycopg.connect(url, connect_timeout=int(_PATIENCE_SECONDS)) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False
