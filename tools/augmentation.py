"""Training clips from few recordings: placed, sped up, mixed, coloured, and blotted out.

Owns: how a clip is made of recordings, and what happens to its features.
Does not know: files, networks, how a clip is scored.

Mixing follows Tokozume, Ushiku and Harada, "Learning from between-class examples" (2018): two recordings at a ratio
drawn evenly, weighed by their loudness, with the labels in the same ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools import acoustics

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How much of each change; probabilities from 0 to 1, ranges as said."""

    mixing: float = 0.7  # of two recordings in one clip
    speed: float = 0.15  # playing speed from exp(-speed) to exp(speed)
    room: float = 0.2
    microphone: float = 0.4
    noise: float = 0.3  # at noise_snr_db
    noise_snr_db: tuple[float, float] = (10.0, 50.0)
    level_dbfs: tuple[float, float] = (-40.0, -10.0)  # of the loudest tenth
    blots: int = 2  # bands and moments each, of at most an eighth of the clip


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A recording to draw from, and its answer (n_labels,); all zeros for a negative."""

    samples: Samples
    answer: NDArray[np.float32]


def make_clip(
    examples: Sequence[Example], n_samples: int, sample_rate: int, recipe: Recipe, rng: np.random.Generator
) -> tuple[Samples, NDArray[np.float32]]:
    """A training clip, float32 (n_samples,), and its answer (n_labels,) from 0 to 1."""
    first = examples[int(rng.integers(len(examples)))]
    clip, answer = _placed(first.samples, n_samples, recipe, rng), first.answer
    if rng.random() < recipe.mixing:
        second = examples[int(rng.integers(len(examples)))]
        other = _placed(second.samples, n_samples, recipe, rng)
        share = rng.random()
        weight = 1 / (1 + loudness(clip) / loudness(other) * (1 - share) / share) if share else 0.0
        scale = np.hypot(weight, 1 - weight)
        clip = np.float32(weight / scale) * clip + np.float32((1 - weight) / scale) * other
        answer = share * answer + (1 - share) * second.answer
    if rng.random() < recipe.room:
        clip = acoustics.room(clip, sample_rate, rng)
    if rng.random() < recipe.microphone:
        clip = acoustics.microphone(clip, sample_rate, rng)
    clip = clip * np.float32(10 ** (rng.uniform(*recipe.level_dbfs) / 20) / loudness(clip))
    if rng.random() < recipe.noise:
        noise = acoustics.coloured_noise(n_samples, rng, slope=rng.uniform(0, 2))
        clip = clip + noise * np.float32(loudness(clip) * 10 ** (-rng.uniform(*recipe.noise_snr_db) / 20))
    return np.clip(clip, -1.0, 1.0).astype(np.float32), answer.astype(np.float32)


def blot_out(features: Samples, recipe: Recipe, rng: np.random.Generator) -> None:
    """SpecAugment, in place: bands and moments of (n_frames, n_features) become the clip's mean."""
    for view in (features, features.T):
        for _ in range(recipe.blots):
            width = int(rng.integers(0, len(view) // 8 + 1))
            start = int(rng.integers(0, len(view) - width + 1))
            view[start : start + width] = features.mean()


def loudness(samples: Samples) -> float:
    """RMS of the loudest tenth of 50 ms pieces: a bark counts as loud as its bark, not as its pause."""
    pieces = samples[: len(samples) // 40 * 40].reshape(40, -1)
    power = np.sort(np.mean(pieces**2, axis=1))
    return float(np.sqrt(power[-4:].mean()) + 1e-9)


def _placed(samples: Samples, n_samples: int, recipe: Recipe, rng: np.random.Generator) -> Samples:
    """A stretch of a recording at some speed; a short one anywhere in the clip, alone or repeated."""
    speed = np.exp(rng.uniform(-recipe.speed, recipe.speed))
    n = max(1, int(len(samples) / speed))
    samples = np.interp(np.arange(n) * speed, np.arange(len(samples)), samples).astype(np.float32)
    if n < n_samples and rng.random() < 0.3:
        samples = np.tile(samples, -(-n_samples // n) + 1)
        n = len(samples)
    if n >= n_samples:
        start = int(rng.integers(0, n - n_samples + 1))
        return samples[start : start + n_samples].copy()
    clip = np.zeros(n_samples, dtype=np.float32)
    # at most a fifth of it is cut off
    start = int(rng.integers(-n // 5, n_samples - n * 4 // 5))
    begin, end = max(0, start), min(n_samples, start + n)
    clip[begin:end] = samples[begin - start : end - start]
    return clip
