"""What recognisers answer, checked: JSON of a bounded depth, texts that can be published, numbers that are numbers.

Owns: the checks. Pure. Does not know: protocols; who raises what of a value that is wrong.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Final

MAX_TEXT: Final = 20_000  # characters; nobody says more in an utterance
_TAG: Final = re.compile(r"<\|[^|<>]{0,40}\|>")  # tokens of Whisper and SenseVoice: <|en|>, <|0.00|>, <|Speech|>
# cannot be encoded, shown or spoken: controls, lone surrogates, unassigned; not format characters, which scripts need
_UNSPEAKABLE: Final = frozenset({"Cc", "Cs", "Cn", "Co"})


class AnswerError(ValueError):
    """An answer that is not what the protocol says; the message goes on after "its answer"."""


def read_json(data: bytes | str) -> dict[str, object]:
    """Return the object that JSON holds. Raises AnswerError."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        raise AnswerError("is no JSON") from None
    if not isinstance(value, dict):
        raise AnswerError("is no JSON object")
    return value


def text_of(value: object, what: str) -> str:
    """Return a text as it can be published: one line without tokens, controls or lone surrogates.

    Raises AnswerError for what is none, or longer than anybody speaks.
    """
    if not isinstance(value, str):
        raise AnswerError(f"has no text as {what}")
    if len(value) > MAX_TEXT:
        raise AnswerError(f"has more than {MAX_TEXT} characters as {what}")
    spoken = "".join(" " if unicodedata.category(c) in _UNSPEAKABLE else c for c in _TAG.sub(" ", value))
    return " ".join(spoken.split())


def number_of(value: object, what: str, least: float = -math.inf, most: float = math.inf) -> float | None:
    """Return a number between bounds; None for none, and for one that is not finite or beyond the bounds.

    Raises AnswerError for what is no number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AnswerError(f"has no number as {what}")
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and least <= number <= most else None


def short_name(value: object, most: int = 64) -> str | None:
    """Return a name or a sentence that can be shown, of at most that many characters; None for what is none."""
    if not isinstance(value, str):
        return None
    name = " ".join("".join(c if c.isprintable() else " " for c in value[:1000]).split())
    return name[:most] or None
