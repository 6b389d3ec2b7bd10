"""Two packages side by side: how many of each there are, and everything in which they differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.conformance.facts import Facts, Takes


@dataclass(frozen=True)
class Row:
    """One line of the table: a count in the real package, the same in ours, and the differences one by one."""

    what: str
    theirs: int | str
    ours: int | str
    differences: tuple[str, ...]
    notes: tuple[str, ...] = ()


def compared(theirs: Facts, ours: Facts) -> list[Row]:
    """Compare everything that both tell."""
    return [
        Row("version", theirs.version, ours.version, tuple(_differences({"": theirs.version}, {"": ours.version}))),
        Row("author", theirs.author, ours.author, tuple(_differences({"": theirs.author}, {"": ours.author}))),
        _counted("constants, with value and type", _typed(theirs.constants), _typed(ours.constants)),
        *_functions(theirs, ours),
        _counted("how to call them, in their help", _usages(theirs), _usages(ours)),
        _counted("helpers in Python, with signature", theirs.helpers, ours.helpers),
        _counted("structures", theirs.structs, ours.structs),
        _counted("fields, in order", _fields(theirs), _fields(ours)),
    ]


def spoken(errors: frozenset[str], patterns: frozenset[str], never: Mapping[str, str]) -> Row:
    """Compare what `last_error` can say; what ours never says needs a reason."""
    said = {error for error in errors if any(re.fullmatch(pattern, error) for pattern in patterns)}
    invented = (pattern for pattern in patterns if not any(re.fullmatch(pattern, error) for error in errors))
    differences = [f"{pattern} is not theirs" for pattern in invented]
    differences += [f"{error} is missing" for error in errors - said - never.keys()]
    differences += [f"{error} is said, or not theirs" for error in never if error in said or error not in errors]
    notes = tuple(f"{error}: never said, {reason}" for error, reason in never.items())
    return Row("errors that last_error can tell", len(errors), len(said), tuple(sorted(differences)), notes)


def _functions(theirs: Facts, ours: Facts) -> Iterator[Row]:
    left, right = ({name: function.takes for name, function in facts.functions.items()} for facts in (theirs, ours))
    yield _counted("functions", left, right)
    counts = Counter(left.values()), Counter(right.values())
    for takes in Takes:
        yield Row(f"- with {takes}", counts[0][takes], counts[1][takes], ())


def _counted(what: str, theirs: Mapping[str, object], ours: Mapping[str, object]) -> Row:
    return Row(what, len(theirs), len(ours), tuple(_differences(theirs, ours)))


def _differences(theirs: Mapping[str, object], ours: Mapping[str, object]) -> Iterator[str]:
    for name in [*theirs, *(name for name in ours if name not in theirs)]:
        if name not in ours:
            yield f"{name} is missing"
        elif name not in theirs:
            yield f"{name} is not theirs"
        elif theirs[name] != ours[name]:
            yield f"{name} is {ours[name]}, theirs {theirs[name]}".strip()


def _typed(constants: Mapping[str, object]) -> dict[str, object]:
    return {name: (type(value).__name__, value) for name, value in constants.items()}


def _usages(facts: Facts) -> dict[str, object]:
    return {name: function.usage for name, function in facts.functions.items()}


def _fields(facts: Facts) -> dict[str, object]:
    return {
        f"{struct}.{field}": place for struct, fields in facts.structs.items() for place, field in enumerate(fields)
    }
