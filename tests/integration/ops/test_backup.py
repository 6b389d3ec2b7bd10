"""Backups of a ledger: what is restored is what was there, and nothing that is there is ever overwritten."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ops.backup import __main__ as command
from ops.backup import tools
from ops.backup.__main__ import main
from ops.backup.server import of_database
from ops.services import Services
from tests.fixtures.client_programs import need_client_programs
from tests.integration.ledger.stories import RealClock, a_trade, an_arrival
from worker.ledger.ledger import PostgresLedger
from worker.ledger.schema import migrate

pytestmark = pytest.mark.services

SHOWN = "the password is in what was printed"


@pytest.fixture(scope="module")
def ledger_url(services: Services) -> Iterator[str]:
    need_client_programs(services.postgres_url)
    name = f"backup_{secrets.token_hex(4)}"
    url = services.new_database(name)
    asyncio.run(migrate(url))
    asyncio.run(_trade(url, "RPM-1"))
    yield url
    services.drop_database(name)


@pytest.fixture(scope="module")
def dump(ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the backup of one trade; afterwards the ledger goes on, so that the backup is an older one."""
    folder = tmp_path_factory.mktemp("backups")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("POSTGRES_URL", ledger_url)
        assert main(["create", str(folder)]) == 0
    asyncio.run(_trade(ledger_url, "RPM-2"))
    [made] = folder.glob("*.dump")
    return made


@pytest.fixture(autouse=True)
def settings(ledger_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSTGRES_URL", ledger_url)
    monkeypatch.chdir(tmp_path)  # no `.env` lies there
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


@pytest.fixture
def spare(services: Services) -> Iterator[str]:
    """Name a database that is not there yet."""
    name = f"restored_{secrets.token_hex(4)}"
    yield name
    services.drop_database(name)


async def _trade(url: str, order_id: str) -> None:
    ledger = await PostgresLedger.open(url, account="main", worker_id="host:1", clock=RealClock())
    await ledger.lead()
    try:
        await ledger.admit(an_arrival(a_trade(order_id)))
    finally:
        await ledger.close()


def _trades(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("select trade_id from ledger.executions order by 1").fetchall()]


def test_what_is_restored_is_the_ledger_of_that_moment(
    dump: Path, spare: str, ledger_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restore", str(dump), "--database", spare]) == 0

    restored = of_database(ledger_url, spare)
    assert _trades(restored) == ["RPM-1"]
    assert _trades(ledger_url) == ["RPM-1", "RPM-2"]
    said = capsys.readouterr().out
    assert "its audit trail verifies" in said
    assert "the worker halts on it" in said
    # And the roles have their rights
    with psycopg.connect(restored) as connection:
        row = connection.execute("select has_table_privilege('mt5_worker', 'ledger.accounts', 'update')").fetchone()
    assert row == (True,)
    # And it is not restored into a second time
    assert main(["restore", str(dump), "--database", spare]) == 1
    assert "holds a ledger already" in capsys.readouterr().err
    # And a restored ledger that has been written to since is told from the backup
    asyncio.run(_trade(restored, "RPM-3"))
    assert main(["verify", str(dump), "--database", spare]) == 1
    assert "does not end where the backup ends" in capsys.readouterr().err


def test_a_ledger_that_a_worker_leads_is_left_alone(
    dump: Path, ledger_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        connection.execute("update ledger.accounts set lease_holder = 'host:7', lease_renewed_at = now()")
        name = connection.info.dbname

        assert main(["restore", str(dump), "--database", name]) == 1

        connection.execute("update ledger.accounts set lease_holder = null")
    assert "worker host:7 leads account main in it. Nothing was changed" in capsys.readouterr().err
    assert _trades(ledger_url) == ["RPM-1", "RPM-2"]


def test_a_database_with_anything_in_it_is_left_alone(
    dump: Path, ledger_url: str, spare: str, services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(services.new_database(spare), autocommit=True) as connection:
        connection.execute("create table mine (it text)")

    assert main(["restore", str(dump), "--database", spare]) == 1

    assert "is not empty" in capsys.readouterr().err
    with psycopg.connect(of_database(ledger_url, spare)) as connection:
        assert connection.execute("select to_regclass('ledger.accounts')").fetchone() == (None,)


@pytest.mark.parametrize("name", ["", "n" * 80])
def test_a_name_that_no_database_can_have_is_refused(dump: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restore", str(dump), "--database", name]) == 2

    assert "a database's name has 1 to 63 bytes" in capsys.readouterr().err


def test_a_damaged_dump_is_not_restored(
    dump: Path, spare: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    copy = tmp_path / dump.name
    copy.write_bytes(content)
    copy.with_suffix(".json").write_text(dump.with_suffix(".json").read_text())

    assert main(["verify", str(copy)]) == 1
    assert main(["restore", str(copy), "--database", spare]) == 1

    assert capsys.readouterr().err.count("it was changed or damaged") == 2


def test_a_chain_that_ends_elsewhere_than_the_manifest_says_is_told(
    dump: Path, spare: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / dump.name
    copy.write_bytes(dump.read_bytes())
    manifest = json.loads(dump.with_suffix(".json").read_text())
    manifest["heads"][0]["hash"] = "0" * 64
    copy.with_suffix(".json").write_text(json.dumps(manifest))

    assert main(["restore", str(copy), "--database", spare]) == 1

    assert "does not end where the backup ends: main at event" in capsys.readouterr().err


def test_a_backup_is_named_by_its_manifest_as_well(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(dump.with_suffix(".json"))]) == 0
    assert "is what its manifest says" in capsys.readouterr().out
    assert dump.stat().st_mode & 0o077 == 0, "the ledger is nobody else's business"


@pytest.mark.parametrize(
    ("url", "code", "sentence"),
    [
        ("", 2, "POSTGRES_URL is not set"),
        ("postgresql://me:hunter2@[", 2, "POSTGRES_URL is no URL"),
        ("host=127.0.0.1 password=hunter2", 2, "POSTGRES_URL is no URL"),
        (
            "postgresql://me:hunter2@127.0.0.1:9/ledger",
            3,
            "PostgreSQL does not answer (database ledger at 127.0.0.1:9)",
        ),
    ],
)
def test_what_cannot_be_reached_is_said(
    url: str, code: int, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSTGRES_URL", url)

    assert main(["create", "backups"]) == code

    said = capsys.readouterr().err
    assert sentence in said
    assert "hunter2" not in said, SHOWN


def test_a_database_without_a_ledger_is_not_backed_up(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSTGRES_URL", postgres_url)

    assert main(["create", str(tmp_path)]) == 1

    assert "has no ledger: there is nothing to back up" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_dump_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a pg_dump that writes a part and then ends, telling how it was called
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "pg_dump"
    program.write_text('#!/bin/sh\necho "called: $*" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    backups = tmp_path / "backups"

    assert main(["create", str(backups)]) == 1

    said = capsys.readouterr().err
    assert "pg_dump failed: called: --format=custom --schema=ledger --snapshot=" in said
    assert list(backups.iterdir()) == []
    # And no command line had the address or the password in it
    assert os.environ["POSTGRES_URL"].split("@")[0].rpartition(":")[2] not in said, SHOWN


def test_a_disk_that_is_full_before_the_manifest_is_written_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a disk that takes the dump and not a byte more
    def full(file: Path, content: str, encoding: str) -> None:
        file.write_bytes(content.encode(encoding)[:7])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)

    assert main(["create", str(tmp_path / "backups")]) == 1

    assert capsys.readouterr().err == "not finished: No space left on device\n"
    assert list((tmp_path / "backups").iterdir()) == []


def test_an_interrupted_backup_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_url: str, _folder: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "create", interrupted)

    assert main(["create", str(tmp_path)]) == 130

    assert capsys.readouterr().err == "interrupted: not finished\n"


def test_programs_that_are_not_installed_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tools, "_FOLDERS", {"linux": ("/nowhere", "*/bin")})
    monkeypatch.setenv("PATH", "/nowhere")

    assert main(["create", "backups"]) == 2

    assert "pg_dump is not installed here" in capsys.readouterr().err
