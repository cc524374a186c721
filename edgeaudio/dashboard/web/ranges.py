"""Which bytes of a file a request asks for (RFC 9110): one range, or all of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_RANGE: Final = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file: from `begin` on, `end` excluded."""

    begin: int
    end: int


class UnsatisfiableError(ValueError):
    """None of the bytes that are asked for is in the file."""


def span_of(headers: Mapping[str, str], n_bytes: int, etag: str) -> Span | None:
    """Return the part that is asked for; None: the whole file. Raises UnsatisfiableError.

    What is no range of bytes, or several, is ignored, as the standard allows, and so is a range of an older content.
    """
    found = _RANGE.fullmatch(headers.get("range", "").strip())
    if found is None or headers.get("if-range", etag) != etag:
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    begin = int(first) if first else max(0, n_bytes - int(last))
    end = min(n_bytes, int(last) + 1) if first and last else n_bytes
    if first and last and int(last) < int(first):
        return None
    if begin >= n_bytes:
        raise UnsatisfiableError
    return Span(begin, end)


def is_known(headers: Mapping[str, str], etag: str) -> bool:
    """True if the browser has this very content."""
    known = [tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")]
    return etag in known or known == ["*"]
