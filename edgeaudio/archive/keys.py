"""The key of a result: hashes of all that its rows depend on, one behind the other, so that two keys can be compared.

Owns: what is in a key, and where. Does not know: files, who asks.

    path | size and time of change | beginning | recording before | recording after

A recording that was replaced has another key with the same path: its result takes the place of the old one. So has one
beside which a recording was added or replaced, for an event may go on into that. One whose neighbour is gone keeps its
result: the sound at the border is known from when it was there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Final, Self

PATH_DIGITS: Final = 16
_FILE_DIGITS, _TIME_DIGITS, _SIDE_DIGITS = 12, 8, 8
_DIGITS = (PATH_DIGITS, _FILE_DIGITS, _TIME_DIGITS, _SIDE_DIGITS, _SIDE_DIGITS)
_NONE = "0" * _SIDE_DIGITS


def digest(text: str) -> bytes:
    """Return a hash that is the same on every machine."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def path_of(key: str) -> str:
    """Return the part that all results of one path have in common."""
    return key[:PATH_DIGITS]


def identity_of(size_bytes: int, changed_ns: int) -> str:
    """Return what a recording is to those beside it."""
    return digest(f"{size_bytes}\n{changed_ns}").hex()[:_SIDE_DIGITS]


@dataclass(frozen=True, slots=True)
class Key:
    """A key in its parts."""

    path: str
    file: str
    time: str
    before: str
    after: str

    @classmethod
    def of(
        cls, path: str, size_bytes: int, changed_ns: int, begins_at: datetime, before: str | None, after: str | None
    ) -> Self:
        """Return the key of a recording; `before` and `after`: identities of its neighbours."""
        return cls(
            digest(path).hex()[:PATH_DIGITS],
            digest(f"{size_bytes}\n{changed_ns}").hex()[:_FILE_DIGITS],
            digest(begins_at.isoformat()).hex()[:_TIME_DIGITS],
            before or _NONE,
            after or _NONE,
        )

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Return the parts of a key; those of another form are like no other."""
        ends = accumulate(_DIGITS, initial=0)
        return cls(*(text[begin:end] for begin, end in pairwise(ends)))

    def __str__(self) -> str:
        return self.path + self.file + self.time + self.before + self.after

    def serves(self, wanted: Key) -> bool:
        """True if a result with this key is one of a recording whose key is `wanted` by now."""
        same = (self.path, self.file, self.time) == (wanted.path, wanted.file, wanted.time)
        return same and wanted.before in {_NONE, self.before} and wanted.after in {_NONE, self.after}

    def is_at_another_time(self, wanted: Key) -> bool:
        """True for a result of the same file with another beginning."""
        return (self.path, self.file) == (wanted.path, wanted.file) and self.time != wanted.time
