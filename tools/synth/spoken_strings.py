"""Strings of words for evaluation: the words of one speaker after each other, over other sound.

Owns: the order, the pauses, the levels, the SNR and the room of a string.
Does not know: models, scores, events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.synth import acoustics
from tools.synth.event_scenes import bounds, chain, recorded, sounding_rms
from tools.training.keyword_trials import Passage, Spoken

Samples = NDArray[np.float32]

WORDS = 20  # of a passage
GAP_S = (0.1, 0.6)
PAUSE_S = (1.0, 2.0)  # after each of the strings of a passage
STRING = (3, 7)  # words
LEVEL_DB = 3.0  # deviation from word to word
LEAD_S = 1.5
BACKGROUND_DB = -30.0  # of noise under a recorded background, so that none is digital silence


@dataclass(frozen=True, slots=True)
class Condition:
    """How strings are heard. snr_db: None: as they are, over faint noise."""

    name: str
    snr_db: float | None = None
    room: bool = False


CONDITIONS = (
    Condition("clean"), Condition("20 dB", 20), Condition("10 dB", 10), Condition("5 dB", 5),
    Condition("a room, 20 dB", 20, room=True),
)  # fmt: skip
CLEAN_SNR_DB = 50.0


def passages(
    words: Sequence[tuple[str, Samples]],
    backgrounds: Sequence[Samples],
    condition: Condition,
    sample_rate: int,
    rng: np.random.Generator,
) -> Iterator[Passage]:
    """Yield passages in which each of the words is said once. words: label and samples, float32 (n,), of a speaker."""
    order = rng.permutation(len(words))
    for first in range(0, len(order), WORDS):
        yield _passage([words[i] for i in order[first : first + WORDS]], backgrounds, condition, sample_rate, rng)


def _passage(
    words: Sequence[tuple[str, Samples]],
    backgrounds: Sequence[Samples],
    condition: Condition,
    sample_rate: int,
    rng: np.random.Generator,
) -> Passage:
    at_s = LEAD_S
    left = int(rng.integers(*STRING, endpoint=True))
    pieces: list[tuple[int, Samples]] = []
    spoken = []
    for label, samples in words:
        first, last = bounds(samples, sample_rate)
        word = samples[first:last]
        gain = 10 ** (rng.normal(0, LEVEL_DB) / 20) / (sounding_rms(word, sample_rate) + 1e-12)
        pieces.append((round(at_s * sample_rate), word * np.float32(gain)))
        stop_s = at_s + len(word) / sample_rate
        spoken.append(Spoken(label, at_s, stop_s))
        left -= 1
        at_s = stop_s + rng.uniform(*(GAP_S if left else PAUSE_S))
        left = left or int(rng.integers(*STRING, endpoint=True))
    n = round((at_s + LEAD_S) * sample_rate)
    speech = np.zeros(n, dtype=np.float32)
    for start, word in pieces:
        acoustics.add_at(speech, word, start)
    if condition.room:
        speech = acoustics.room(speech, sample_rate, rng)
    noise = acoustics.at_level(acoustics.coloured_noise(n, rng, slope=rng.uniform(0, 2)), 0.0)
    if backgrounds and condition.snr_db is not None:
        noise = acoustics.at_level(chain(backgrounds, n, rng) + noise * np.float32(10 ** (BACKGROUND_DB / 20)), 0.0)
    snr_db = CLEAN_SNR_DB if condition.snr_db is None else condition.snr_db
    # the words are at an RMS of about 1
    mixed = speech + noise * np.float32(10 ** (-snr_db / 20))
    return Passage(condition.name, recorded(mixed, sample_rate, rng, through=False), tuple(spoken))
