"""
The real `MetaTrader5` package as the registry has it: fetched with pip, read and never run.

It is a Windows wheel; reading it works on any machine. The file is kept in the temporary folder, and only the very file
that the facts of this project were taken from is accepted.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "5.0.6231"
NAME = f"metatrader5-{VERSION}-cp311-cp311-win_amd64.whl"
SHA256 = "1e0fb5e43437f426be3e5aef614f6798a918377db4cdb380593a66d1908f918d"
CODE = "MetaTrader5/__init__.py"
CORE = "MetaTrader5/_core.cp311-win_amd64.pyd"
_KEPT = Path(tempfile.gettempdir()) / "mt5-worker-wheels"
_TARGET = "--platform win_amd64 --python-version 3.11 --implementation cp --only-binary=:all: --no-deps"
_MANNERS = "--quiet --disable-pip-version-check --retries 1 --timeout 15"
_NO_NETWORK = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|connection broken|Temporary failure|Name or service not known"
    r"|Network is unreachable|ProxyError|Max retries exceeded",
)


class OutOfReach(Exception):
    """No registry answers."""


def wheel() -> zipfile.ZipFile:
    """Return the package's wheel. Raises OutOfReach without a network, RuntimeError when pip fails otherwise."""
    kept = _KEPT / NAME
    if not _is_the_one(kept):
        _fetch(kept)
    return zipfile.ZipFile(kept)


def _fetch(kept: Path) -> None:
    _KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_KEPT) as folder:
        _download(Path(folder))
        if not _is_the_one(Path(folder) / NAME):
            raise RuntimeError(f"the registry's {NAME} is not the file that is known here (SHA-256 {SHA256})")
        (Path(folder) / NAME).replace(kept)  # at once: others may be fetching it too


def _download(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", *_TARGET.split(), *_MANNERS.split(), "--dest", str(folder)]
    environment = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(
        [*command, f"MetaTrader5=={VERSION}"], capture_output=True, text=True, check=False, env=environment, timeout=100
    )
    if done.returncode == 0:
        return
    last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
    if _NO_NETWORK.search(done.stderr):
        raise OutOfReach(f"pip reaches no registry: {last[0]}")
    raise RuntimeError(f"pip does not deliver MetaTrader5 {VERSION}: {last[0]}")


def _is_the_one(file: Path) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == SHA256
