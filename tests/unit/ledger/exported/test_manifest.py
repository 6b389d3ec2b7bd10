"""A manifest says what an export held, and does not hold itself when anything in it was changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.chain import a_chain
from tests.fixtures.exports import exported, flipped
from worker.ledger.exported.codec import Format
from worker.ledger.exported.manifest import BrokenManifest, Tally, read_manifest

EXPORT = exported([*a_chain(3, "main"), *a_chain(2, "other")])
TEXT = EXPORT.manifest.to_bytes()


def sealed(**changes: Any) -> bytes:
    """Return a manifest with other content and a checksum that fits it: made by hand, not by accident."""
    value = json.loads(TEXT) | changes
    del value["checksum"]
    checksum = hashlib.sha256(json.dumps(value, indent=2).encode() + b"\n").hexdigest()
    return json.dumps(value | {"checksum": checksum}, indent=2).encode() + b"\n"


def test_it_tells_what_was_exported() -> None:
    told = json.loads(TEXT)

    assert told["contents"]["events"] == 5
    assert told["contents"]["bytes"] == len(EXPORT.text)
    assert told["contents"]["sha256"] == hashlib.sha256(EXPORT.text).hexdigest()
    assert told["contents"]["milestones"] == []
    main, other = told["contents"]["accounts"]
    last = a_chain(3)[-1]
    assert main == {
        "account": "main",
        "events": 3,
        "left_out": 0,
        "first_sequence": 1,
        "first_at": "2026-01-05T12:00:00.000000+00:00",
        "previous_hash": "0" * 64,
        "last_sequence": 3,
        "last_at": "2026-01-05T12:00:02.000000+00:00",
        "last_hash": last.hash,
        "head_sequence": 3,
        "head_hash": last.hash,
    }
    assert (other["account"], other["events"]) == ("other", 2)
    assert told["filters"] == {"account": None, "from": None, "to": None, "symbol": None, "trade": None}


def test_it_is_read_as_it_was_written() -> None:
    assert read_manifest(TEXT) == EXPORT.manifest


@given(st.integers(0, 8 * len(TEXT) - 1))
def test_one_flipped_bit_breaks_it(bit: int) -> None:
    with pytest.raises(BrokenManifest):
        read_manifest(flipped(TEXT, bit))


def test_a_change_of_its_form_is_named_by_its_line() -> None:
    spoilt = TEXT.replace(b'  "format"', b'   "format"')

    with pytest.raises(BrokenManifest, match="not written as an export writes it") as broken:
        read_manifest(spoilt)

    assert broken.value.line == TEXT[: TEXT.index(b'  "format"')].count(b"\n") + 1
    with pytest.raises(BrokenManifest, match="no JSON") as broken:
        read_manifest(TEXT.replace(b'"format"', b'"format'))
    assert broken.value.line is not None


@pytest.mark.parametrize("text", [b"", b"[]\n", b"{}\n", b"\xff", b"[" * 100_000, sealed(kind="something else")])
def test_what_is_no_manifest_is_told(text: bytes) -> None:
    with pytest.raises(BrokenManifest, match=r"no JSON|not the manifest of an export"):
        read_manifest(text)


def test_another_version_is_told() -> None:
    with pytest.raises(BrokenManifest, match="another version of this program"):
        read_manifest(sealed(manifest_version=2))


@pytest.mark.parametrize(
    "changes",
    [
        {"contents": None},
        {"contents": {}},
        {"contents": json.loads(TEXT)["contents"] | {"accounts": [{}]}},
        {"contents": json.loads(TEXT)["contents"] | {"accounts": None}},
        {"contents": json.loads(TEXT)["contents"] | {"events": "5"}},
        {"contents": json.loads(TEXT)["contents"] | {"events": True}},
        {"filters": []},
        {"program": 5},
        {"format": "xml"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_right_checksum_does_not_make_it_one(changes: dict[str, Any]) -> None:
    with pytest.raises(BrokenManifest, match="fields of a manifest"):
        read_manifest(sealed(**changes))


@given(st.integers(1, 3000))
def test_milestones_are_few_and_evenly_apart(events: int) -> None:
    tally = Tally(Format.JSONL)
    for _ in range(events):
        tally.take(b"x\n")

    places = [milestone.events for milestone in tally.milestones]
    assert len(places) <= 32
    assert places == [places[0] * number for number in range(1, len(places) + 1)]
    assert len(places) == events or len(places) >= 15
