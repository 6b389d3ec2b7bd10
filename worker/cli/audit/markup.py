"""HTML that can only be made of tags of ours: whatever others wrote becomes text."""

from __future__ import annotations

from html import escape

from worker.cli.show import cell


class Markup(str):
    """HTML; any other string is text that has yet to be escaped."""

    __slots__ = ()


def tag(name: str, *content: object, **attributes: object) -> Markup:
    """
    Return an element. What is not Markup becomes text as a person reads it, control characters made visible.

    `_` in the name of an attribute stands for `-`, and at its end for nothing (`class_`).
    """
    told = "".join(f' {key.rstrip("_").replace("_", "-")}="{_text(value)}"' for key, value in attributes.items())
    inner = "".join(one if isinstance(one, Markup) else _text(one) for one in content)
    return Markup(f"<{name}{told}>{inner}</{name}>")


def joined(*parts: Markup) -> Markup:
    """Return elements one after the other."""
    return Markup("".join(parts))


def _text(value: object) -> str:
    return escape(cell(value).plain)
