"""What every speech recogniser is asked and answers, whatever its protocol.

Owns: the interface, and the error of all protocols.
Does not know: protocols, when and how often an utterance is tried again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from edgeaudio.errors import EdgeaudioError
from edgeaudio.types import Samples


class RecogniserError(EdgeaudioError):
    """The recogniser did not answer, or not with a text: one line for people, without secrets and without the text."""

    def __init__(self, message: str, *, is_final: bool = False, is_for_all: bool = False) -> None:
        """`is_final`: it answers, and refuses this utterance; the same utterance would be refused again.

        `is_for_all`: it would have failed for any other utterance, too: nothing of this one was looked at.
        """
        super().__init__(message)
        self.is_final = is_final
        self.is_for_all = is_for_all


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a recognition, with what the recogniser says about it; None: it says nothing of the kind."""

    begin_s: float  # since the utterance began
    end_s: float
    text: str
    no_speech: float | None = None  # probability that nobody spoke, 0 to 1
    log_probability: float | None = None  # mean of the tokens', 0 or less
    compression: float | None = None  # ratio of the text's length to that of the text compressed


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a recogniser says of one utterance."""

    text: str  # "": nothing
    language: str | None = None  # two letters, as ISO 639-1 has them
    confidence: float | None = None  # 0 to 1
    segments: tuple[Segment, ...] = ()


def confidence_of(segments: tuple[Segment, ...]) -> float | None:
    """Return the mean probability of a token, by the segments' lengths; None where a segment has none."""
    if not segments or any(segment.log_probability is None for segment in segments):
        return None
    lengths = [max(segment.end_s - segment.begin_s, 0.01) for segment in segments]
    total = sum((s.log_probability or 0.0) * length for s, length in zip(segments, lengths, strict=True))
    return math.exp(total / sum(lengths))


class SpeechRecogniser(Protocol):
    """A recogniser that is spoken to over a network. One thread uses it."""

    name: str  # as it is published: its software or model, without an address

    def recognise(self, samples: Samples) -> Recognition:
        """Return what is said in float32 samples `(n,)` at 16 kHz. Connects where it is not connected.

        Returns or raises within the time limit that it was made with. Raises RecogniserError.
        """

    def close(self) -> None:
        """Close the connection, if there is one. May be called from another thread, to end `recognise` soon."""
