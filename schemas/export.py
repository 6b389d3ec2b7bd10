"""
Writes the public documents: JSON Schema of each message, the AsyncAPI document, and examples.

`python -m schemas.export [--check] [FOLDER]` writes them into the folder (default: beside this file), or with `--check`
says which of them differ from the models; exit code 1 if any does.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas.asyncapi import asyncapi_document
from schemas.dead_letter import DeadLetterHeaders
from schemas.examples import example_files
from schemas.execution_confirmation import ExecutionConfirmation
from schemas.rpm_models import RPMOutput

INTERFACE_VERSION = "1.0.0"
_HERE = Path(__file__).parent


class _WithoutNull(GenerateJsonSchema):
    """Headers are strings or missing, never null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def documents() -> dict[str, str]:
    """Return the text of every public document, by its path below the folder."""
    examples = example_files()
    found = {
        "rpm-output.schema.json": _schema(
            "rpm-output", RPMOutput.model_json_schema(), _starting(examples, "rpm-output.")
        ),
        "execution-confirmation.schema.json": _schema(
            "execution-confirmation",
            ExecutionConfirmation.model_json_schema(mode="serialization"),
            _starting(examples, "confirmation."),
        ),
        "dead-letter-headers.schema.json": _schema(
            "dead-letter-headers", DeadLetterHeaders.model_json_schema(schema_generator=_WithoutNull), [_HEADERS]
        ),
        "asyncapi.json": asyncapi_document(INTERFACE_VERSION),
    }
    texts = {name: json.dumps(document, indent=2) + "\n" for name, document in found.items()}
    return texts | {f"examples/{name}": text for name, text in examples.items()}


_HEADERS = {
    "failure-reason": "schema_invalid",
    "failure-detail": "decision.approved_trade.position_units is 0, but must be a number greater than 0",
    "failed-at": "2026-03-02T09:30:00.450000Z",
    "first-failed-at": "2026-03-02T09:30:00.450000Z",
    "failure-attempt": "1",
    "account": "main",
    "original-exchange": "trades",
    "original-routing-key": "approved.main.EURUSD",
}


def _schema(name: str, schema: dict[str, Any], examples: list[Any]) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:mt5-worker:{name}:{INTERFACE_VERSION}",
        **schema,
        "examples": examples,
    }


def _starting(examples: dict[str, str], prefix: str) -> list[Any]:
    return [json.loads(text) for name, text in examples.items() if name.startswith(prefix)]


def write(folder: Path) -> list[Path]:
    """Write all documents below the folder and return their paths. Raises `OSError`."""
    written = []
    for name, text in documents().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written


def drifted(folder: Path) -> list[str]:
    """Return the names of documents that are missing below the folder or differ from the models."""
    return [name for name, text in documents().items() if not _reads(folder / name, text)]


def _reads(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m schemas.export", description="Write the public documents.")
    parser.add_argument("folder", type=Path, nargs="?", default=_HERE, help="where to (default: beside the models)")
    parser.add_argument("--check", action="store_true", help="only say which documents differ from the models")
    options = parser.parse_args(arguments)
    if not options.check:
        for path in write(options.folder):
            sys.stdout.write(f"{path}\n")
        return 0
    differing = drifted(options.folder)
    for name in differing:
        sys.stdout.write(f"{name} differs from the models: run `python -m schemas.export`\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
