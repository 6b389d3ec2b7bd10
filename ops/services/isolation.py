"""Gives a test, or a run of the demo, a database and a virtual host of its own."""

import base64
import json
import urllib.error
import urllib.request
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

_SECONDS = 20.0


def with_path(url: str, path: str) -> str:
    """Return the URL of another database or virtual host on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(path, safe='')}"))


def create_database(admin_url: str, name: str) -> str:
    """Create an empty database and return its URL."""
    _run_sql(admin_url, "CREATE DATABASE {}", name)
    return with_path(admin_url, name)


def drop_database(admin_url: str, name: str) -> None:
    """Drop a database and end the sessions in it."""
    _run_sql(admin_url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _run_sql(url: str, statement: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def management_answers(management_url: str) -> bool:
    """Tell whether RabbitMQ's management interface is there and lets the user in."""
    try:
        _call(management_url, "GET", "whoami")
    except (OSError, ValueError):
        return False
    return True


def create_vhost(amqp_url: str, management_url: str, name: str) -> str:
    """Create a virtual host in which the URL's user may do everything, and return its URL."""
    user = urlsplit(amqp_url).username or "guest"
    _call(management_url, "PUT", f"vhosts/{quote(name, safe='')}")
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    _call(management_url, "PUT", f"permissions/{quote(name, safe='')}/{quote(user, safe='')}", rights)
    return with_path(amqp_url, name)


def delete_vhost(management_url: str, name: str) -> None:
    """Delete a virtual host with all that is in it."""
    _call(management_url, "DELETE", f"vhosts/{quote(name, safe='')}")


def _call(management_url: str, method: str, path: str, body: dict[str, str] | None = None) -> None:
    place = urlsplit(management_url)
    credentials = base64.b64encode(f"{place.username}:{place.password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - http(s) to a service of the tests
        f"{place.scheme}://{place.hostname}:{place.port}/api/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310 - see above
        pass
