"""Which PostgreSQL, and how to speak to it: the settings' POSTGRES_URL, as the worker reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from dotenv import dotenv_values
from psycopg.conninfo import conninfo_to_dict

from ops.backup.errors import BackupError, OutOfReach, WrongUse
from ops.services.isolation import with_path

Connection = psycopg.Connection[Any]
_PATIENCE_SECONDS = 10
_LONGEST_NAME = 63  # of PostgreSQL; it cuts a longer one, and would make another database than the one asked for
_NO_URL = "POSTGRES_URL is no URL such as postgresql://user@host:5432/ledger: nothing was done"


def postgres_url() -> str:
    """Return POSTGRES_URL of the environment, else of the folder's `.env`; raises WrongUse."""
    url = os.environ.get("POSTGRES_URL") or dotenv_values(".env").get("POSTGRES_URL")
    if not url:
        raise WrongUse("POSTGRES_URL is not set, neither in the environment nor in .env: nothing was done")
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its text may repeat the password
        raise WrongUse(_NO_URL) from None
    if not url.startswith(("postgresql://", "postgres://")):
        raise WrongUse(_NO_URL)
    return url


def of_database(url: str, name: str) -> str:
    """Return the address of another database on the same server; raises WrongUse for what is no name."""
    if not 0 < len(name.encode()) <= _LONGEST_NAME:
        raise WrongUse(f"a database's name has 1 to {_LONGEST_NAME} bytes: nothing was done")
    return with_path(url, name)


def where(url: str) -> str:
    """Name the database without anything secret."""
    given = conninfo_to_dict(url)
    return f"database {given.get('dbname', 'default')} at {given.get('host', 'localhost')}:{given.get('port', 5432)}"


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Connect, in autocommit. Raises OutOfReach, or BackupError when the server refuses what is asked of it."""
    try:
        with psycopg.connect(
            url, autocommit=True, connect_timeout=_PATIENCE_SECONDS, application_name="mt5-worker backup"
        ) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise OutOfReach(f"PostgreSQL does not answer ({where(url)}): {' '.join(str(error).split())}") from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise BackupError(f"this user may not do that in {where(url)}: {error.diag.message_primary}") from None
    except psycopg.Error as error:
        raise BackupError(f"{where(url)} refused: {error.diag.message_primary or error}") from None


def as_environment(url: str) -> dict[str, str]:
    """
    Return PostgreSQL's own environment variables for this address.

    A command line can be read by every user of the machine, an environment cannot: so nothing of the address is ever
    an argument. What has no variable (such as the keep-alive's seconds) is left out.
    """
    variables = {
        option.keyword.decode(): option.envvar.decode()
        for option in psycopg.pq.Conninfo.get_defaults()
        if option.envvar is not None
    }
    given = conninfo_to_dict(url)
    return {variables[name]: str(value) for name, value in given.items() if name in variables and value is not None}
