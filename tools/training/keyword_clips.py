"""Training clips of words: a keyword in the middle of a clip, with what may be said before and after it.

Owns: how a clip of a running stream looks that a keyword is found in, and one that none is.
Does not know: files, networks, what is done to a clip as a whole (`augmentation.received`).

The model hears a stream, cut into clips every tenth of a second: a word passes through the clip from its end to its
beginning. It is the answer while its middle is near the middle of the clip, when all of it is there and what surrounds
it is known. Half-words at a clip's edges, and two words with the clip's middle between them, are unknown speech. So
one word is found in three clips, and the same word said twice is found twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.training.augmentation import SILENCE as NOTHING
from tools.training.augmentation import Recipe, between, received, unit_loudness
from tools.training.keyword_data import OTHERS, SILENCE, UNKNOWN, is_synthetic
from tools.training.training_data import TrainingData

Floats = NDArray[np.float32]

RECIPE = Recipe(
    speed=0.25, shift_mels=1.5, room=0.35, reverberation_s=(0.1, 0.8), noise_snr_db=(8.0, 60.0), kept_bands=(0.7, 1.0),
    blots=1,
)  # fmt: skip
SHARES = {"keyword": 0.5, "unknown": 0.37}  # of the clips; the rest is without speech
REAL_SHARE = 0.55  # of the draws where a word was said by people and by synthetic voices
WARP = 0.12  # the bands lie up to exp(WARP) as high, or as low: vocal tracts differ in length
NEAR_S = 0.15  # a word's middle from that of the clip: at most, to be its answer
FAR_S = 0.3  # at least, not to be
FURTHEST_S = 0.65
NEIGHBOUR_SHARE = 0.6  # of the words, for the one before and for the one after
GAP_S = (0.0, 0.45)
NEIGHBOUR_DB = 4.0  # deviation of its loudness from that of the word
BACKGROUND_SHARE = 0.6  # of the clips with speech, where there are recordings without
BACKGROUND_SNR_DB = (3.0, 30.0)
HALVES = 0.45  # of the unknown speech: keywords and others that are cut by the clip's edges
WORD_DB = 30.0  # under its loudest frame, a word is heard
LONGEST_WORD_S = 1.5  # what is longer is a sentence: unknown words are cut from it


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """A spoken word: mel power of the frames in which it is heard, float32 (n_frames, n_mels), at unit loudness."""

    power: Floats
    label: str
    is_synthetic: bool


class KeywordBatches:
    """Draws batches of clips.

    words: of keywords, at least one of each; those labelled `unknown` may be sentences.
    backgrounds: mel power of sound without speech, (n_frames, n_mels) each.
    labels: all classes in the order of the answers, UNKNOWN and SILENCE among them.
    """

    def __init__(
        self,
        words: Sequence[Word],
        backgrounds: Sequence[Floats],
        labels: tuple[str, ...],
        n_frames: int,
        frame_s: float,
        recipe: Recipe,
    ) -> None:
        self._labels = labels
        self._n_frames = n_frames
        self._frame_s = frame_s
        self._recipe = recipe
        self._backgrounds = backgrounds
        self._n_mels = words[0].power.shape[1]
        self._words = {
            label: [
                each
                for made in (False, True)
                if (each := [word for word in words if word.label == label and word.is_synthetic is made])
            ]
            for label in labels
        }
        self._keywords = [label for label in labels if label not in OTHERS]

    def draw(self, size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return log-mel power, float32 (size, n_frames, n_mels), and answers, one-hot float32 (size, n_labels)."""
        power = np.zeros((size, self._n_frames, self._n_mels), dtype=np.float32)
        answers = np.zeros((size, len(self._labels)), dtype=np.float32)
        for clip, answer in zip(power, answers, strict=True):
            kind = rng.random()
            if kind < SHARES["keyword"]:
                label = self._keywords[rng.integers(len(self._keywords))]
                self._say(clip, self._word(label, rng), rng.uniform(-NEAR_S, NEAR_S), rng)
            elif kind < SHARES["keyword"] + SHARES["unknown"]:
                label = UNKNOWN
                self._say_unknown(clip, rng)
            else:
                label = SILENCE
            answer[self._labels.index(label)] = 1.0
            self._add_background(clip, rng, has_speech=label != SILENCE)
        return received(unit_loudness(power), self._frame_s, self._recipe, rng), answers

    def _say(self, clip: Floats, word: Floats, middle_s: float, rng: np.random.Generator) -> None:
        """Add a word, its middle `middle_s` from that of the clip, and perhaps its neighbours."""
        start = self._add(clip, word, middle_s)
        for is_before in (True, False):
            if rng.random() < NEIGHBOUR_SHARE:
                other = self._any_word(rng) * np.float32(10 ** (rng.normal(0, NEIGHBOUR_DB) / 10))
                gap = round(rng.uniform(*GAP_S) / self._frame_s)
                _add_at(clip, other, start - gap - len(other) if is_before else start + len(word) + gap)

    def _say_unknown(self, clip: Floats, rng: np.random.Generator) -> None:
        if self._words[UNKNOWN] and rng.random() > HALVES:
            self._say(clip, self._word(UNKNOWN, rng), rng.uniform(-NEAR_S, NEAR_S), rng)
            return
        # the clip's middle is between two words, or behind the last one, or before the first
        word, side = self._any_word(rng), rng.choice((-1, 1))
        distance_s = rng.uniform(FAR_S, FURTHEST_S)
        start = self._add(clip, word, side * distance_s)
        if rng.random() < NEIGHBOUR_SHARE:
            other = self._any_word(rng)
            half_s = self._frame_s * len(other) / 2
            # not over the first word, and not near the clip's middle
            edge_s = (start + (len(word) if side < 0 else 0) - self._n_frames / 2) * self._frame_s
            closest_s = max(FAR_S, side * -edge_s + half_s)
            self._add(clip, other, -side * (closest_s + rng.uniform(0, GAP_S[1])))

    def _add(self, clip: Floats, word: Floats, middle_s: float) -> int:
        """Add a word to a clip; returns the frame at which it starts, which may be outside."""
        start = round(self._n_frames / 2 + middle_s / self._frame_s - len(word) / 2)
        _add_at(clip, word, start)
        return start

    def _any_word(self, rng: np.random.Generator) -> Floats:
        unknown = bool(self._words[UNKNOWN]) and rng.random() < 1 / 3
        return self._word(UNKNOWN if unknown else self._keywords[rng.integers(len(self._keywords))], rng)

    def _word(self, label: str, rng: np.random.Generator) -> Floats:
        """Return a word, faster or slower and higher or lower than it was said, at unit loudness."""
        groups = self._words[label]
        group = groups[0] if rng.random() < REAL_SHARE else groups[-1]
        power = group[rng.integers(len(group))].power
        longest = round(LONGEST_WORD_S / self._frame_s)
        if len(power) > longest:
            first = int(rng.integers(len(power) - longest + 1))
            power = power[first : first + longest]
        step = float(np.exp(rng.uniform(-self._recipe.speed, self._recipe.speed)))
        at = np.arange(max(1, int((len(power) - 1) / step)), dtype=np.float64) * step
        shift = rng.uniform(-self._recipe.shift_mels, self._recipe.shift_mels)
        warp = np.exp(rng.uniform(-WARP, WARP))
        bands = np.clip(np.arange(self._n_mels, dtype=np.float64) * warp + shift, 0, self._n_mels - 1)
        return _one_at_unit_loudness(between(between(power, at, axis=0), bands, axis=1))

    def _add_background(self, clip: Floats, rng: np.random.Generator, *, has_speech: bool) -> None:
        if not self._backgrounds or (has_speech and rng.random() > BACKGROUND_SHARE):
            return
        power = self._backgrounds[int(rng.integers(len(self._backgrounds)))]
        at = np.arange(self._n_frames) + int(rng.integers(len(power)))
        repeated: Floats = np.take(power, at, axis=0, mode="wrap")
        snr_db = rng.uniform(*BACKGROUND_SNR_DB) if has_speech else 0.0
        clip += _one_at_unit_loudness(repeated) * np.float32(10 ** (-snr_db / 10))


def words_of(data: TrainingData, without_fold: int | None) -> tuple[list[Word], list[Floats]]:
    """Return the words and the backgrounds to train with: all but those of one fold; None: all."""
    words: list[Word] = []
    backgrounds: list[Floats] = []
    for entry, power in zip(data.entries, data.powers, strict=True):
        if entry.fold == without_fold or power is None:
            continue
        if entry.label is None:
            backgrounds.append(power)
        else:
            words.append(Word(heard(power), entry.label, is_synthetic(entry)))
    return words, backgrounds


def heard(power: Floats) -> Floats:
    """Return the frames from the first to the last at most WORD_DB under the loudest, at unit loudness."""
    levels = power.sum(axis=1)
    frames = np.flatnonzero(levels >= max(NOTHING, float(levels.max()) * 10 ** (-WORD_DB / 10)))
    inside = power[frames[0] : frames[-1] + 1] if frames.size else power
    return _one_at_unit_loudness(inside)


def _one_at_unit_loudness(power: Floats) -> Floats:
    one: Floats = unit_loudness(power[None])[0]
    return one


def _add_at(clip: Floats, word: Floats, start: int) -> None:
    first, last = max(0, start), min(len(clip), start + len(word))
    if first < last:
        clip[first:last] += word[first - start : last - start]
