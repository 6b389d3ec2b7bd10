"""An exported file in an auditor's hands, with its manifest where there is one."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import typer

from worker.cli.witnesses import Witnesses
from worker.ledger.exported.codec import HEADS, Format
from worker.ledger.exported.manifest import MOST_BYTES, BrokenManifest, Manifest, read_manifest
from worker.ledger.exported.verification import FileVerdict, verify_file

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of it: the verdict on the file (None: its manifest is broken), and the first place that is wrong."""

    name: str
    verdict: FileVerdict | None
    place: tuple[str, int | None] | None = None  # file and line
    problem: str | None = None

    @property
    def where(self) -> str:
        """Name the place."""
        file, line = self.place or (self.name, None)
        return file if line is None else f"{file}, line {line}"

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        verdict = self.verdict
        defect = verdict.defect if verdict else None
        file, line = self.place or (self.name, None)
        return {
            "file": self.name,
            "holds": self.problem is None,
            "format": verdict and verdict.format,
            "events": verdict and verdict.events,
            "sha256": verdict and verdict.sha256,
            "coverage": verdict and verdict.coverage,
            "manifest": bool(verdict and verdict.manifest),
            "anchors": verdict and {"agree": verdict.witnesses, "elsewhere": verdict.elsewhere},
            "accounts": [_as_json(asdict(part)) for part in verdict.parts] if verdict else [],
            "fault": None
            if self.problem is None
            else {
                "file": file,
                "line": line,
                "account": defect and defect.account,
                "sequence": defect and defect.sequence,
                "problem": self.problem,
            },
        }


@dataclass(frozen=True, slots=True)
class Copy:
    """An exported file, opened."""

    name: str
    stream: BinaryIO
    size: int | None  # in bytes; None: nobody knows before its end
    manifest: Manifest | None
    broken: Judged | None = None  # its manifest does not hold

    def judge(self, witnesses: Witnesses, on_progress: Callable[[int], object]) -> Judged:
        """Verify it."""
        if self.broken is not None:
            return self.broken
        form = self.manifest.format if self.manifest else _sniffed(self.stream)
        verdict = verify_file(self.stream, form, self.manifest, witnesses, on_progress)
        if verdict.defect is None:
            return Judged(self.name, verdict)
        return Judged(self.name, verdict, (self.name, verdict.defect.line), verdict.defect.problem)


@contextmanager
def opened(name: str, manifest: str | None) -> Iterator[Copy]:
    """Open a file, `-` for standard input, with its manifest: the one that is named, else the one beside it."""
    found = _manifest_of(name, manifest)
    try:
        if name == STDIN:
            stream = io.BufferedReader(cast("io.RawIOBase", sys.stdin.buffer))
            try:
                yield _copy("standard input", stream, None, found)
            finally:
                stream.detach()  # it is not ours to close
        else:
            with Path(name).open("rb") as file:
                yield _copy(name, file, Path(name).stat().st_size, found)
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be read: {error.strerror}") from None


def manifest_beside(name: str) -> Path:
    """Return where an export's manifest is, unless somebody chose another place."""
    return Path(f"{name}.manifest.json")


def _manifest_of(name: str, manifest: str | None) -> Path | None:
    if manifest is not None:
        return Path(manifest)
    beside = manifest_beside(name)
    return beside if name != STDIN and beside.is_file() else None


def _copy(name: str, stream: BinaryIO, size: int | None, manifest: Path | None) -> Copy:
    if manifest is None:
        return Copy(name, stream, size, None)
    try:
        with manifest.open("rb") as file:
            return Copy(name, stream, size, read_manifest(file.read(MOST_BYTES)))
    except OSError as error:
        raise typer.BadParameter(f"{manifest} cannot be read: {error.strerror}") from None
    except BrokenManifest as error:
        return Copy(name, stream, size, None, Judged(name, None, (str(manifest), error.line), str(error)))


def _sniffed(stream: BinaryIO) -> Format:
    """Tell the format by how a file begins; verification says what is wrong with any other beginning."""
    beginning = stream.peek(1)[:1] if isinstance(stream, io.BufferedReader) else b""
    return Format.CSV if beginning and HEADS[Format.CSV].startswith(beginning) else Format.JSONL


def _as_json(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if not name.startswith("head")}
