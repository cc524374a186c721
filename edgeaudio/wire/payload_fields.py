"""The fields of JSON payloads, each read with its type and its bounds. Pure.

Owns: what a text, a word, an id, a number and a time may be, and WireError. Does not know: topics, which payload has
which field (payloads.py). Every function raises WireError; None: the field is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TypeVar

from edgeaudio.schema_versions import KEY, PAYLOAD_VERSION

MAX_TEXT = 500  # characters of a sentence for people
MAX_COUNT = 1 << 53  # JSON numbers are exact below it
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}(?:Z|[+-][0-9]{2}:[0-9]{2})")
_T = TypeVar("_T")
_MISSING: Final[Mapping[str, Any]] = {}


class WireError(ValueError):
    """A message that breaks the contract: which field, and how. Holds nothing of the message but the field's name."""


def require_bounds(fields: Iterable[tuple[str, float, float, float]]) -> None:
    """Raise WireError for the first field, of name, value, lowest and highest, that is out of its bounds or NaN."""
    for name, value, low, high in fields:
        if not low <= value <= high:
            raise WireError(f"{name}: is out of bounds")


def read_table(payload: bytes) -> Mapping[str, Any]:
    """Return a payload's JSON object, of a version that is known."""
    try:
        # a lone surrogate escape makes text that no file and no page can hold: `text` replaces it
        table = json.loads(payload.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise WireError("is no JSON") from None
    if not isinstance(table, dict):
        raise WireError("is no JSON object")
    version = table.get(KEY)
    if type(version) is not int or version < 1:
        raise WireError(f"{KEY}: is missing")
    if version > PAYLOAD_VERSION:
        raise WireError(f"{KEY}: is newer than {PAYLOAD_VERSION}: upgrade this program")
    return table


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


def required(value: _T | None, key: str) -> _T:
    """Return a value that must be there."""
    if value is None:
        raise WireError(f"{key}: is missing")
    return value


def inner(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object within an object; an empty one where it is missing."""
    value = table.get(key)
    if value is None:
        return _MISSING
    if not isinstance(value, dict):
        raise WireError(f"{key}: is no object")
    return value


def tables(named: Mapping[str, Any], key: str) -> Iterable[Mapping[str, Any]]:
    """Return the objects of a table of them."""
    if not all(isinstance(table, dict) for table in named.values()):
        raise WireError(f"{key}: has an entry that is no object")  # its name is the sender's: not for the log
    return named.values()


def string(table: Mapping[str, Any], key: str) -> str | None:
    """Return a text as it is."""
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise WireError(f"{key}: is no text")
    return value


def text(table: Mapping[str, Any], key: str, limit: int = MAX_TEXT) -> str:
    """Return a text for people on one line; empty where it is missing."""
    return clean(string(table, key) or "", limit)


def clean(text: str, limit: int) -> str:
    """Return a text on one line, without control characters, and cut."""
    value = text[: limit + 1]
    clean = "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in value).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def word(table: Mapping[str, Any], key: str) -> str | None:
    """Return a word of a-z, 0-9 and _, such as a state."""
    value = string(table, key)
    if value is not None and not _WORD.fullmatch(value):
        raise WireError(f"{key}: is no word of a-z, 0-9 and _")
    return value


def identifier(table: Mapping[str, Any], key: str) -> str | None:
    """Return an id of letters, digits and hyphens."""
    value = string(table, key)
    if value is not None and not is_identifier(value):
        raise WireError(f"{key}: is not made of letters, digits and hyphens, at most 64")
    return value


def is_identifier(text: str) -> bool:
    """True if a text can be an id."""
    return _ID.fullmatch(text) is not None


def number(table: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    """Return a finite number within its bounds."""
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WireError(f"{key}: is no number")
    if not low <= value <= high:
        raise WireError(f"{key}: is not within {low:g} and {high:g}")
    return float(value)


def count(table: Mapping[str, Any], key: str) -> int | None:
    """Return a whole number from 0 on that JSON holds exactly."""
    value = table.get(key)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < MAX_COUNT:
        raise WireError(f"{key}: is no count")
    return value


def time(table: Mapping[str, Any], key: str) -> datetime | None:
    """Return a time in UTC."""
    value = string(table, key)
    return None if value is None else parse_time(value, key)


def parse_time(text: str, key: str) -> datetime:
    """Parse a time of RFC 3339. Raises WireError, which names `key`."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC) if _TIME.fullmatch(text) else None
    except (ValueError, OverflowError):
        at = None
    if at is None or not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise WireError(f"{key}: is no time of RFC 3339 from {_FIRST_YEAR} to {_LAST_YEAR}")
    return at
