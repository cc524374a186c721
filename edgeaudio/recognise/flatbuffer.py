"""A reader of flatbuffers, the format of `.tflite` files and of the metadata inside them.

Owns: the format's layout, and the bounds of every read: offsets in an untrusted file may point anywhere.
Does not know: schemas. A field is named by its position in the schema's table, counted from 0.

Layout after https://flatbuffers.dev/internals/: a table begins with the signed distance back to its vtable, which
holds the position of each field; strings, vectors and tables are referenced by unsigned forward offsets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_TABLES = 200_000  # reads per file; the largest sound models have some thousands of tables


class FlatbufferError(ValueError):
    """Content that is not a valid flatbuffer; the message has the position and the fault."""


@dataclass(slots=True)
class _Source:
    """The bytes, and how many tables may still be read: a vector can reference one table a million times."""

    content: bytes
    tables_left: int

    def number(self, code: str, at: int) -> Any:  # noqa: ANN401 (int or float, as `code` of `struct` has it)
        if not 0 <= at <= len(self.content) - struct.calcsize(code):
            raise FlatbufferError(f"an offset leads to byte {at} of {len(self.content)}")
        return struct.unpack_from(code, self.content, at)[0]

    def target(self, at: int) -> int:
        return at + int(self.number("<I", at))

    def vector(self, at: int, item_bytes: int) -> tuple[int, int]:
        """Return the position of the first item of the vector at `at`, and the number of items."""
        n_items = self.number("<I", at)
        if n_items * item_bytes > len(self.content) - at - 4:
            raise FlatbufferError(f"the vector at byte {at} is longer than the file")
        return at + 4, n_items


class Table:
    """One table. An absent field has its default.

    Each method raises FlatbufferError if a field points out of the content.
    """

    def __init__(self, source: _Source, at: int) -> None:
        source.tables_left -= 1
        if source.tables_left < 0:
            raise FlatbufferError(f"there are more than {MAX_TABLES} tables")
        self._source = source
        self._at = at
        self._vtable = at - source.number("<i", at)
        self._n_fields = (source.number("<H", self._vtable) - 4) // 2

    def number(self, field: int, code: str, default: float = 0) -> Any:  # noqa: ANN401 (as `code` has it)
        """Return a number; `code` is a format of `struct`."""
        at = self._place(field)
        return default if at is None else self._source.number(code, at)

    def numbers(self, field: int, dtype: str) -> NDArray[Any]:
        """Return a vector of numbers of that NumPy type, empty by default."""
        at = self._place(field)
        if at is None:
            return np.empty(0, dtype)
        begin, n_items = self._source.vector(self._source.target(at), np.dtype(dtype).itemsize)
        return np.frombuffer(self._source.content, dtype, n_items, begin)

    def text(self, field: int) -> str:
        """Return a string, empty by default; bytes that are not UTF-8 are replaced."""
        return self.numbers(field, "<u1").tobytes().decode(errors="replace")

    def table(self, field: int) -> Table | None:
        """Return the table that a field references; None by default."""
        at = self._place(field)
        return None if at is None else Table(self._source, self._source.target(at))

    def tables(self, field: int) -> list[Table]:
        """Return the tables of a vector, none by default."""
        at = self._place(field)
        if at is None:
            return []
        begin, n_items = self._source.vector(self._source.target(at), 4)
        return [Table(self._source, self._source.target(begin + 4 * i)) for i in range(n_items)]

    def item(self, field: int, index: int) -> Table:
        """Return one table of a vector."""
        at = self._place(field)
        begin, n_items = (0, 0) if at is None else self._source.vector(self._source.target(at), 4)
        if index >= n_items:
            raise FlatbufferError(f"item {index} of {n_items} is asked for")
        return Table(self._source, self._source.target(begin + 4 * index))

    def _place(self, field: int) -> int | None:
        if field >= self._n_fields:
            return None
        inside = self._source.number("<H", self._vtable + 4 + 2 * field)
        return self._at + inside if inside else None


def root_of(content: bytes) -> Table:
    """Return the root table of a flatbuffer. Raises FlatbufferError."""
    source = _Source(content, MAX_TABLES)
    return Table(source, source.target(0))
