"""The public documents: as the models, valid, and telling the same as the models."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import schemas
from schemas import export
from schemas.dead_letter import DeadLetterHeaders
from schemas.examples import example_rejected_output, example_rpm_output
from schemas.execution_confirmation import ExecutionConfirmation
from schemas.refusals import RefusedMessage
from schemas.rpm_output import read_rpm_output
from schemas.strict_json import parse
from tests.fixtures.untraced import untraced

FOLDER = Path(schemas.__file__).parent
SCHEMAS = ["rpm-output", "execution-confirmation", "dead-letter-headers"]


def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.schema.json").read_text())
    return document


class TestDrift:
    def test_the_documents_in_the_repository_are_those_of_the_models(self) -> None:
        assert export.drifted(FOLDER) == []

    def test_the_check_names_a_document_that_differs(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert export.main([str(tmp_path)]) == 0
        assert export.main(["--check", str(tmp_path)]) == 0
        (tmp_path / "asyncapi.json").write_text("{}")
        capsys.readouterr()

        assert export.main(["--check", str(tmp_path)]) == 1
        assert capsys.readouterr().out == "asyncapi.json differs from the models: run `python -m schemas.export`\n"


class TestJsonSchema:
    @pytest.mark.parametrize("name", SCHEMAS)
    def test_each_schema_is_valid_and_its_examples_follow_it(self, name: str) -> None:
        document = schema(name)

        Draft202012Validator.check_schema(document)
        assert document["examples"]
        for example in document["examples"]:
            Draft202012Validator(document).validate(example)

    @pytest.mark.parametrize("name", SCHEMAS)
    def test_every_field_is_described(self, name: str) -> None:
        document = schema(name)
        for part in [document, *document.get("$defs", {}).values()]:
            for field, described in part.get("properties", {}).items():
                assert described.get("description"), f"{part['title']}.{field}"

    def test_the_examples_are_read_by_the_models(self) -> None:
        for path in (FOLDER / "examples").glob("rpm-output.*.json"):
            read_rpm_output(parse(path.read_bytes()))
        for path in (FOLDER / "examples").glob("confirmation.*.json"):
            ExecutionConfirmation.from_bytes(path.read_bytes())
        for example in schema("dead-letter-headers")["examples"]:
            assert DeadLetterHeaders.from_headers(example).to_headers() == example


MISSING = object()
REPLACEMENTS = [
    MISSING, None, True, False, 0, 1, -1, 2.5, 1.0, "", "x", "1.0", "EURUSD", "2026-03-02T09:30:00", "REJECTED",
    [], ["x"], [1], {}, {"x": 1}, {"x": "y"}, {"x": {}},
]  # fmt: skip


def mutations(message: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Replace each field of a message by each of the replacements, one at a time."""
    for path in paths(message):
        for replacement in REPLACEMENTS:
            changed = copy.deepcopy(message)
            parent = changed
            for step in path[:-1]:
                parent = parent[step]
            if replacement is MISSING:
                del parent[path[-1]]
            else:
                parent[path[-1]] = replacement
            yield f"{'.'.join(path)} = {replacement!r}", changed


def paths(part: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, value in part.items():
        yield (name,)
        if isinstance(value, dict):
            yield from ((name, *rest) for rest in paths(value))


def accepts(message: dict[str, Any]) -> bool:
    try:
        read_rpm_output(parse(json.dumps(message).encode()))
    except RefusedMessage:
        return False
    return True


@pytest.mark.parametrize("message", [example_rpm_output(), example_rejected_output()], ids=["approved", "rejected"])
def test_the_schema_accepts_exactly_the_messages_that_the_worker_accepts(message: dict[str, Any]) -> None:
    message["decision"] |= {"order_type": "market", "sl": None}
    validator = Draft202012Validator(schema("rpm-output"))

    with untraced():  # a thousand messages and more
        differing = [name for name, changed in mutations(message) if validator.is_valid(changed) != accepts(changed)]

    assert differing == []


@pytest.mark.parametrize("status", ["rejected", "unresolved", "partially_filled"])
def test_the_schema_of_confirmations_refuses_contradictions(status: str) -> None:
    confirmation = json.loads((FOLDER / "examples" / "confirmation.filled.json").read_text())
    validator = Draft202012Validator(schema("execution-confirmation"))

    assert validator.is_valid(confirmation | {"status": status}) == (status == "partially_filled")
    assert not validator.is_valid(confirmation | {"status": status, "final": None})


class TestAsyncApi:
    def test_every_reference_leads_somewhere(self) -> None:
        document = json.loads((FOLDER / "asyncapi.json").read_text())
        for reference in references(document):
            if reference.startswith("./"):
                assert (FOLDER / reference).is_file()
            else:
                target: Any = document
                for step in reference.removeprefix("#/").split("/"):
                    target = target[step]

    def test_every_variable_of_an_address_is_described(self) -> None:
        document = json.loads((FOLDER / "asyncapi.json").read_text())
        for channel in document["channels"].values():
            variables = {part.partition("}")[0] for part in (channel["address"] or "").split("{")[1:]}
            assert variables == set(channel.get("parameters", {}))


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)
