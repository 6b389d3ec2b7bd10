"""
The compiled part of the package as a file: what its tables say, without running a byte of it.

A Windows image is read as far as needed: its sections, and the pointers between them. A table of functions is a row of
`PyMethodDef` (name, code, flags, help); a structure's description is a `PyStructSequence_Desc` (name, help, fields,
count), its fields pairs of name and help. Both layouts are part of CPython's stable interface.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_WORD = 8
_DATA = (".data", ".rdata")
_MOST_FIELDS = 200
_ALL_FLAGS = 0x1FF  # METH_*: what a function takes
_PRINTABLE = re.compile(rb"[\x20-\x7e]{4,}(?=\0)")


@dataclass(frozen=True)
class Method:
    """A function as its table describes it."""

    name: str
    flags: int
    help: str


@dataclass(frozen=True)
class Description:
    """A structure as its description has it."""

    name: str
    help: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class _Section:
    name: str
    address: int
    offset: int
    size: int


class Image:
    """A 64-bit Windows image in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        header = struct.unpack_from("<I", data, 0x3C)[0]
        if data[header : header + 4] != b"PE\0\0":
            raise ValueError("not a Windows image")
        count, optional = struct.unpack_from("<H12xH", data, header + 6)
        self._base: int = struct.unpack_from("<Q", data, header + 24 + 24)[0]
        table = header + 24 + optional
        self._sections = [self._section(table + 40 * number) for number in range(count)]

    def methods(self) -> Iterator[Method]:
        """Yield every row of every table of functions."""
        for offset in self._words():
            name, code, flags, text = self._row(offset)
            if self._name(name) and self._lies_in(code, ".text") and 0 < flags <= _ALL_FLAGS:
                yield Method(self._name(name), flags, self._text(text))

    def descriptions(self) -> Iterator[Description]:
        """Yield the description of every structure."""
        for offset in self._words():
            name, text, fields, count = self._row(offset)
            names = self._fields(fields, count & 0xFFFF_FFFF)
            if self._name(name) and self._text(text) and names:
                yield Description(self._name(name), self._text(text), names)

    def texts(self) -> frozenset[str]:
        """Return every printable text in the image."""
        return frozenset(match.group().decode("ascii") for match in _PRINTABLE.finditer(self._data))

    def _section(self, offset: int) -> _Section:
        name, size, address, stored, start = struct.unpack_from("<8sIIII", self._data, offset)
        return _Section(name.rstrip(b"\0").decode("ascii"), self._base + address, start, min(size, stored))

    def _words(self) -> Iterator[int]:
        """Yield where a row of four words may begin."""
        for section in self._sections:
            if section.name in _DATA:
                yield from range(section.offset, section.offset + section.size - 4 * _WORD + 1, _WORD)

    def _row(self, offset: int) -> tuple[int, int, int, int]:
        first, second, third, fourth = struct.unpack_from("<QQQQ", self._data, offset)
        return first, second, third, fourth

    def _fields(self, address: int, count: int) -> tuple[str, ...]:
        """Return the names of a structure's fields; none where there is no list of that many, closed by a zero."""
        start = self._offset(address, *_DATA)
        if start is None or not 0 < count < _MOST_FIELDS:
            return ()
        *pointers, end = struct.unpack_from(f"<{2 * count + 1}Q", self._data, start)
        names = tuple(self._name(pointer) for pointer in pointers[::2])
        return names if all(names) and end == 0 else ()

    def _name(self, address: int) -> str:
        text = self._text(address)
        return text if text.isidentifier() else ""

    def _text(self, address: int) -> str:
        start = self._offset(address, *_DATA)
        if start is None:
            return ""
        text = self._data[start : self._data.index(b"\0", start)]
        return text.decode("ascii") if text.isascii() else ""

    def _lies_in(self, address: int, section: str) -> bool:
        return self._offset(address, section) is not None

    def _offset(self, address: int, *sections: str) -> int | None:
        for section in self._sections:
            if section.name in sections and section.address <= address < section.address + section.size:
                return section.offset + address - section.address
        return None
