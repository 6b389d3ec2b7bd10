"""Where the programs of RabbitMQ and PostgreSQL are looked for."""

import sys
from pathlib import Path

import pytest

from ops.services.binaries import find_binaries

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="private instances need Linux")


def put(root: Path, *programs: str) -> None:
    for program in programs:
        (root / program).parent.mkdir(parents=True, exist_ok=True)
        (root / program).touch()


def test_an_empty_machine_misses_both(tmp_path: Path) -> None:
    assert find_binaries(tmp_path).missing_packages == ["rabbitmq-server", "postgresql"]


def test_the_newest_postgresql_is_taken(tmp_path: Path) -> None:
    for version in ("9.6", "15", "16"):
        put(
            tmp_path,
            f"usr/lib/postgresql/{version}/bin/initdb",
            f"usr/lib/postgresql/{version}/bin/postgres",
        )

    assert find_binaries(tmp_path).postgres == tmp_path / "usr/lib/postgresql/16/bin"


def test_a_postgresql_that_is_only_a_client_does_not_count(tmp_path: Path) -> None:
    put(tmp_path, "usr/lib/postgresql/16/bin/psql")

    assert "postgresql" in find_binaries(tmp_path).missing_packages


def test_the_rabbitmq_script_is_the_one_that_keeps_the_user(tmp_path: Path) -> None:
    put(tmp_path, "usr/sbin/rabbitmq-server", "usr/lib/rabbitmq/bin/rabbitmq-server")

    assert find_binaries(tmp_path).rabbitmq == tmp_path / "usr/lib/rabbitmq/bin/rabbitmq-server"


def test_a_rabbitmq_of_other_packagers_is_found(tmp_path: Path) -> None:
    put(tmp_path, "usr/lib/rabbitmq/lib/rabbitmq_server-4.1.0/sbin/rabbitmq-server")

    assert find_binaries(tmp_path).missing_packages == ["postgresql"]
