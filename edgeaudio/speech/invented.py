"""Text that a recogniser invented: Whisper writes something for any sound, mostly "Thank you." or "Oh".

Owns: which parts of a recognition are taken for invented, and why. Pure. Does not know: protocols, who counts them.

What a recogniser says of a segment decides, where it says it (HTTP with `verbose_json`); its text alone decides
elsewhere, and leaves most of what is invented. The bounds were chosen on whisper tiny.en: see docs/speech.md.
No list of phrases: "Thank you." is what is invented most, and what people say.
"""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum
from typing import Final

from edgeaudio.speech.recogniser import Recognition, Segment, confidence_of

# no_speech less the weighted log probability is a doubt; measured: docs/speech.md
WEIGHT: Final = 0.4
MOST_DOUBT: Final = 0.65
LOG_PROBABILITY: Final = -1.2  # what is below has hardly a word right
COMPRESSION: Final = 2.4  # Whisper's own bound for a loop
_MOST_WORDS: Final = 8  # of a phrase that is repeated
_REPEATED: Final = {1: 5}  # how often one word makes a loop: people say "no, no, no, no"
_REPEATED_PHRASE: Final = 4

# a word, or a character of those that are written without blanks
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]|[^\W_\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]+")
# descriptions of sound, as in brackets of whisper.cpp ("blank audio", "wind blowing"), or between stars; also wide ones
# they are short: without a bound a text of opening brackets takes a small machine a second, and no other thread runs
_ANNOTATION: Final = re.compile(
    r"\[[^\]]{0,100}\]|\([^)]{0,100}\)|\*[^*]{0,100}\*|\uff08[^\uff09]{0,100}\uff09|\u3010[^\u3011]{0,100}\u3011"
)


class Invention(StrEnum):
    """Why a part is taken for invented."""

    NO_SPEECH = "no_speech"  # the recogniser itself doubts that somebody spoke
    IMPROBABLE = "improbable"  # the recogniser itself does not believe a word of it
    LOOP = "loop"  # the same again and again
    NO_WORDS = "no_words"  # signs, or a description of sound


def without_invented(recognition: Recognition) -> tuple[Recognition, tuple[Invention, ...]]:
    """Return a recognition without the segments that were invented, and why each of them was.

    Of a recognition without segments the whole text is judged. Where nothing is left, the text is empty.
    """
    if not recognition.text:
        return recognition, ()
    if not recognition.segments:
        why = why_invented(Segment(0.0, 0.0, recognition.text))
        return (recognition, ()) if why is None else (_none_of(recognition), (why,))
    judged = [(segment, why_invented(segment)) for segment in recognition.segments]
    inventions = tuple(why for _, why in judged if why is not None)
    kept = tuple(segment for segment, why in judged if why is None)
    if not kept:
        return _none_of(recognition), inventions
    if is_loop(" ".join(segment.text for segment in kept)):  # a segment for each "Ah!"
        return _none_of(recognition), (*inventions, Invention.LOOP)
    if not inventions:
        return recognition, ()
    text = " ".join(filter(None, (segment.text for segment in kept)))
    return replace(recognition, text=text, segments=kept, confidence=confidence_of(kept)), inventions


def why_invented(segment: Segment) -> Invention | None:
    """Return why a segment was invented; None: it seems to have been said."""
    probability = segment.log_probability if segment.log_probability is not None else 0.0
    doubt = (segment.no_speech or 0.0) - WEIGHT * probability
    if not _WORD.search(_ANNOTATION.sub(" ", segment.text)):
        return Invention.NO_WORDS
    if is_loop(segment.text) or (segment.compression or 0.0) > COMPRESSION:
        return Invention.LOOP
    if probability < LOG_PROBABILITY:
        return Invention.IMPROBABLE
    if segment.no_speech is not None and doubt > MOST_DOUBT:
        return Invention.NO_SPEECH
    return None


def is_loop(text: str) -> bool:
    """True if a word or a phrase follows itself more often than people repeat it."""
    words = [word.casefold() for word in _WORD.findall(text)]
    for length in range(1, _MOST_WORDS + 1):
        least = _REPEATED.get(length, _REPEATED_PHRASE) * length
        same = 0  # words that are those of one phrase before
        for now, before in zip(words[length:], words, strict=False):
            same = same + 1 if now == before else 0
            if same + length >= least:
                return True
    return False


def _none_of(recognition: Recognition) -> Recognition:
    return replace(recognition, text="", segments=(), confidence=None)
