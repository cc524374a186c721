"""A writer of flatbuffers, for files that nobody's tools would write."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Fields = Mapping[int, Any]


def flatbuffer(fields: Fields) -> bytes:
    """Content whose root is that table.

    Each field is a mapping (a table), a list of mappings, str, bytes, an array, or `(code, number)` as `struct` has it.
    """
    data = bytearray(4)
    data[:4] = struct.pack("<I", _table(data, fields))
    return bytes(data)


def _table(data: bytearray, fields: Fields) -> int:
    """Write a table; returns its position."""
    numbers = {field: value for field, value in fields.items() if isinstance(value, tuple)}
    vtable = len(data)
    n_fields = max(fields, default=-1) + 1
    data += bytes(4 + 2 * n_fields)
    at = len(data)
    data += struct.pack("<i", at - vtable)
    places = {}
    for field in fields:
        places[field] = len(data)
        data += struct.pack(*numbers[field]) if field in numbers else bytes(4)
        struct.pack_into("<H", data, vtable + 4 + 2 * field, places[field] - at)
    struct.pack_into("<HH", data, vtable, 4 + 2 * n_fields, len(data) - at)
    for field, value in fields.items():
        if field not in numbers:
            struct.pack_into("<I", data, places[field], _child(data, value) - places[field])
    return at


def _child(data: bytearray, value: object) -> int:
    if isinstance(value, Mapping):
        return _table(data, value)
    at = len(data)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        data += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for i, item in enumerate(value):
            place = at + 4 + 4 * i
            struct.pack_into("<I", data, place, _table(data, item) - place)
        return at
    if isinstance(value, np.ndarray):
        data += struct.pack("<I", len(value)) + value.tobytes()
        return at
    content = value.encode() if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
    data += struct.pack("<I", len(content)) + content + b"\0"
    return at
