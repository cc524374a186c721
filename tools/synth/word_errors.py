"""Word errors: how many words of a text were written wrong, left out or added."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools.synth.speech_scenes import DIGITS

_WORD = re.compile(r"[a-z']+|[0-9]")


def words_of(text: str) -> list[str]:
    """Return the words of an English text in lower case; each digit is a word, as "four" for the 4 of 42."""
    return [DIGITS[int(word)] if word.isdigit() else word for word in _WORD.findall(text.lower())]


def errors_of(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Return the least number of substitutions, deletions and insertions from one list of words to the other."""
    above = list(range(len(found) + 1))
    for row, word in enumerate(wanted, 1):
        here = [row]
        for column, other in enumerate(found, 1):
            here.append(min(above[column] + 1, here[-1] + 1, above[column - 1] + (word != other)))
        above = here
    return above[-1]
