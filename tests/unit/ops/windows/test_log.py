"""The log of one account: nothing is lost but what is counted out."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.windows.log import Log


def test_a_full_file_is_put_away_compressed(tmp_path: Path) -> None:
    log = Log(tmp_path, largest=100)

    for number in range(6):
        log.write(b"%039d\n" % number)

    assert (tmp_path / "worker.log").read_bytes() == b"%039d\n%039d\n" % (4, 5)
    assert b"".join(gzip.decompress(old.read_bytes()) for old in put_away(tmp_path)) == b"%039d\n%039d\n" % (
        0,
        1,
    ) + b"%039d\n%039d\n" % (2, 3)


def test_a_file_of_yesterday_is_put_away(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write(b"of yesterday\n")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    os.utime(tmp_path / "worker.log", (yesterday, yesterday))

    log.write(b"of today\n")

    assert (tmp_path / "worker.log").read_bytes() == b"of today\n"
    assert len(put_away(tmp_path)) == 1


def test_the_oldest_files_go_first(tmp_path: Path) -> None:
    log = Log(tmp_path, largest=10, kept=2)

    for number in range(6):
        log.write(b"number %d\n" % number)

    assert [gzip.decompress(old.read_bytes()) for old in put_away(tmp_path)] == [b"number 3\n", b"number 4\n"]


def test_a_reader_that_holds_the_file_costs_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(tmp_path, largest=10)
    log.write(b"number 1\n")
    with monkeypatch.context() as windows:
        windows.setattr(Path, "rename", held)
        log.write(b"number 2\n")
    log.write(b"number 3\n")

    assert (tmp_path / "worker.log").read_bytes() == b"number 3\n"
    assert [gzip.decompress(old.read_bytes()) for old in put_away(tmp_path)] == [b"number 1\nnumber 2\n"]


def test_a_disk_that_takes_nothing_does_not_stop_the_worker(tmp_path: Path) -> None:
    log = Log(tmp_path)
    (tmp_path / "worker.log").mkdir()

    log.write(b"lost\n")


def test_the_supervisors_own_lines_are_json_like_the_workers(tmp_path: Path) -> None:
    Log(tmp_path).tell("info", "worker started", pid=7)

    told = json.loads((tmp_path / "worker.log").read_text())
    assert (told["event"], told["pid"], told["logger"]) == ("worker started", 7, "supervisor")
    assert datetime.fromisoformat(told["timestamp"]).tzinfo is UTC


def held(_file: Path, _target: Path) -> None:
    raise PermissionError("another process is using the file")


def put_away(folder: Path) -> list[Path]:
    return sorted(folder.glob("worker-*.log.gz"))
