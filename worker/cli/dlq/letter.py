"""How a dead letter is named on the command line."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from worker.domain.errors import NotFound

LetterId = Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id, as `dlq list` shows it.")]

LetterIds = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Dead letters' ids, as `dlq list` shows them.")
]


def letter_uuid(text: str) -> UUID:
    """Read the id; raises NotFound for what cannot be one."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"there is no dead letter {text}") from None
