"""Two locks, one truth: what the worker runs with is part of what it was tested with, to the hash."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]


def pins(lock: str) -> set[tuple[str, ...]]:
    """Return each pin of a lock with its hashes; where it is for may differ, tests may need it on more systems."""
    lines = [line.strip() for line in (ROOT / lock).read_text().splitlines()]
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    return {_without_markers(pin) for pin in text.replace("\\\n", " ").splitlines()}


def _without_markers(pin: str) -> tuple[str, ...]:
    words = pin.split()
    return words[0], *(word for word in words if word.startswith("--hash="))


def test_the_runtime_s_lock_is_part_of_the_whole_lock() -> None:
    assert pins("ops/runtime.lock")
    assert pins("ops/runtime.lock") < pins("requirements.lock")


def test_each_pin_is_checked_by_hash() -> None:
    for name, *hashes in pins("requirements.lock"):
        assert "==" in name
        assert hashes
        assert all(one.startswith("--hash=sha256:") for one in hashes)
