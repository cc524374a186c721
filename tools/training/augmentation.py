"""Training batches by augmentation of mel spectra: recordings placed, stretched, mixed, equalised and masked.

Owns: how a clip is made of recordings. Does not know: files, networks, or what follows the logarithm.

All of it works on mel power, which is computed once a recording: that takes a twelfth of the time of making clips from
samples. The powers of two sounds add up, apart from interference, which a mel band averages out.

Mixing follows Tokozume, Ushiku and Harada, "Learning from between-class examples" (2018): two recordings at a ratio
drawn evenly, weighed by their loudness, with the labels in the same ratio. Masks are those of Park and others,
"SpecAugment" (2019); the equaliser is close to Nam, Kim and Park, "FilterAugment" (2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.training.lessons import Lesson

Floats = NDArray[np.float32]

LOUD_SHARE = 0.1  # of the frames: a bark counts as loud as its bark, not as its pause
SILENCE = 1e-12
UNHEARD_DB = -120.0  # under any clip's loudest moment, whatever its colouring
NOISE_SHAPE = 3.0  # of a gamma distribution: how much the power of noise varies from frame to frame in a band


@dataclass(frozen=True, slots=True)
class Recipe:
    """Amount of each change: probabilities from 0 to 1, ranges that are drawn from evenly, deviations."""

    negatives: float = 0.2  # where there are any; all answers beside them are drawn as often as each other
    mixing: float = 0.7  # of two recordings in one clip
    speed: float = 0.2  # time goes by exp(-speed) to exp(speed) as fast
    shift_mels: float = 3.0  # bands up or down
    repeated: float = 0.3  # of a recording that is shorter than a clip
    room: float = 0.2
    reverberation_s: tuple[float, float] = (0.1, 1.2)
    equaliser_db: float = 3.0  # deviation of its corner points
    equaliser_points: int = 5
    noise_snr_db: tuple[float, float] = (15.0, 70.0)
    noise_slope_db: float = 5.0  # from the middle of the bands to their ends, up or down
    narrow: float = 0.35  # of clips as a camera or its codec gives them, without the highest bands
    kept_bands: tuple[float, float] = (0.55, 1.0)  # the share of the bands that is left in those
    blots: int = 2  # bands and moments each, of at most an eighth of the clip


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A recording to draw from.

    power: mel power, float32 (n_frames, n_mels).
    answer: (n_labels,), all zeros for a negative.
    fixed: True if its rhythm and its place in the clip identify it; neither is changed.
    lesson: What a teacher hears in it, or None where there is no teacher.
    """

    power: Floats
    answer: Floats
    fixed: bool = False
    lesson: Lesson | None = None


class Batches:
    """Draws batches.

    examples: at least one; none shorter than a frame.
    n_frames: of a clip.
    frame_s: from one frame to the next.
    """

    def __init__(self, examples: Sequence[Example], n_frames: int, frame_s: float, recipe: Recipe) -> None:
        self._n_frames = n_frames
        self._frame_s = frame_s
        self._recipe = recipe
        kinds: dict[bytes, list[Example]] = {}
        for example in examples:
            kinds.setdefault(example.answer.tobytes(), []).append(example)
        self._negatives = [example for example in examples if not example.answer.any()]
        self._labelled = [kind for kind in kinds.values() if kind[0].answer.any()]

    def draw(self, size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return log-mel power, float32 (size, n_frames, n_mels), and answers from 0 to 1, float32 (size, n_answers).

        The power is in dB of the loudest tenth of the clip's frames, before its colouring. The answers are those of the
        labels, then the teacher's. A teacher hears recordings as they are, and its answers are mixed as they are: the
        network learns to hear through the rest what the teacher heard without it.
        """
        recipe = self._recipe
        power, answers = self._placed(size, rng)
        mixed = np.flatnonzero(rng.random(size) < recipe.mixing)
        if mixed.size:
            second, second_answers = self._placed(mixed.size, rng)
            share = rng.random(mixed.size).astype(np.float32)[:, None]
            weight = (share**2 / (share**2 + (1 - share) ** 2))[:, None]
            power[mixed] = weight * power[mixed] + (1 - weight) * second
            answers[mixed] = share * answers[mixed] + (1 - share) * second_answers
        return received(power, self._frame_s, self._recipe, rng), answers

    def _placed(self, size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        share = self._recipe.negatives if self._negatives else 0.0
        kinds = [
            self._negatives if rng.random() < share else self._labelled[rng.integers(len(self._labelled))]
            for _ in range(size)
        ]
        chosen = [kind[rng.integers(len(kind))] for kind in kinds]
        placed = [place(example, self._n_frames, self._recipe, rng) for example in chosen]
        answers = [
            example.answer
            if example.lesson is None
            else np.concatenate([example.answer, example.lesson.between(*(at * self._frame_s for at in span))])
            for example, (_, span) in zip(chosen, placed, strict=True)
        ]
        return unit_loudness(np.stack([power for power, _ in placed])), np.stack(answers)


def place(
    example: Example, n_frames: int, recipe: Recipe, rng: np.random.Generator
) -> tuple[Floats, tuple[float, float]]:
    """Return a stretch of a recording, float32 (n_frames, n_mels), and the recording's frames from and to which it is.

    A recording that is shorter than a clip lies anywhere in it, or is repeated.
    """
    power = example.power
    last = len(power) - 1
    step = 1.0 if example.fixed else float(np.exp(rng.uniform(-recipe.speed, recipe.speed)))
    n = int(last / step) + 1
    heard = None
    if example.fixed:
        at = np.arange(n_frames)
        heard = at < n
    elif n >= n_frames:
        at = rng.integers(0, n - n_frames + 1) + np.arange(n_frames)
    else:
        # at most a fifth of it is cut off
        at = np.arange(n_frames) - rng.integers(-n // 5, n_frames - n * 4 // 5)
        if rng.random() < recipe.repeated:
            at = at % n
        else:
            heard = (at >= 0) & (at < n)
    frames = np.clip(at * step, 0, last)
    stretch = between(power, frames, axis=0)
    if heard is not None:
        stretch = stretch * heard[:, None]
    bands = np.arange(power.shape[1]) + rng.uniform(-recipe.shift_mels, recipe.shift_mels)
    span = (float(frames.min()), float(frames.max()))
    return between(stretch, np.clip(bands, 0, power.shape[1] - 1), axis=1), span


def received(power: Floats, frame_s: float, recipe: Recipe, rng: np.random.Generator) -> Floats:
    """Return log-mel power of clips of unit loudness, float32 (size, n_frames, n_mels), as a device may receive them.

    Changes `power`: room, colouring, noise, masks and a narrow band follow each other.
    """
    reverberant = np.flatnonzero(rng.random(len(power)) < recipe.room)
    if reverberant.size:
        power[reverberant] = unit_loudness(_in_a_room(power[reverberant], frame_s, recipe, rng))
    power *= _equaliser(len(power), power.shape[2], recipe, rng)
    power += _noise(power.shape, recipe, rng)
    values = (10 * np.log10(power)).astype(np.float32)
    for clip in values:
        mask_spectrum(clip, recipe.blots, rng)
        if rng.random() < recipe.narrow:
            clip[:, round(rng.uniform(*recipe.kept_bands) * clip.shape[1]) :] = UNHEARD_DB
    return values


def unit_loudness(power: Floats) -> Floats:
    """Return clips (n, n_frames, n_mels) at a mean power of 1 over their loudest tenth of frames; silence is kept."""
    frames = np.sort(power.sum(axis=2), axis=1)
    loud = frames[:, -max(1, round(LOUD_SHARE * frames.shape[1])) :].mean(axis=1)
    scaled: Floats = power / (loud + SILENCE).astype(np.float32)[:, None, None]
    return scaled


def mask_spectrum(values: Floats, blots: int, rng: np.random.Generator) -> None:
    """Apply SpecAugment in place: bands and frames of (n_frames, n_mels) are set to the clip's mean."""
    mean = values.mean()
    for view in (values, values.T):
        for _ in range(blots):
            width = int(rng.integers(0, len(view) // 8 + 1))
            start = int(rng.integers(0, len(view) - width + 1))
            view[start : start + width] = mean


def between(values: Floats, at: NDArray[np.float64], axis: int) -> Floats:
    """Return the linear interpolation of `values` along an axis at fractional indices within it."""
    below = at.astype(np.int64)
    above = np.minimum(below + 1, values.shape[axis] - 1)
    share = (at - below).astype(np.float32)
    share = share[:, None] if axis == 0 else share
    found: Floats = values.take(below, axis) * (1 - share) + values.take(above, axis) * share
    return found


def _in_a_room(power: Floats, frame_s: float, recipe: Recipe, rng: np.random.Generator) -> Floats:
    """Add a tail of decaying power to every sound, shorter for high tones, as walls and air absorb those first."""
    size, n_frames, n_mels = power.shape
    reverberation_s = rng.uniform(*recipe.reverberation_s, (size, 1)) * np.linspace(1.2, 0.6, n_mels)
    decay = (10 ** (-6 * frame_s / reverberation_s)).astype(np.float32)
    tail_gain = (10 ** (-rng.uniform(3, 20, (size, 1)) / 10)).astype(np.float32) * (1 - decay)
    tail = np.zeros((size, n_mels), dtype=np.float32)
    for index in range(n_frames):
        tail = tail * decay + power[:, index]
        power[:, index] += tail_gain * tail
    return power


def _equaliser(size: int, n_mels: int, recipe: Recipe, rng: np.random.Generator) -> Floats:
    """Return gains of power (size, 1, n_mels), linear in dB between corner points."""
    curves = np.empty((size, n_mels))
    for curve in curves:
        inner = rng.uniform(0, n_mels - 1, recipe.equaliser_points - 2)
        corners = np.sort(np.concatenate([[0, n_mels - 1], inner]))
        curve[:] = np.interp(np.arange(n_mels), corners, rng.normal(0, recipe.equaliser_db, len(corners)))
    return (10 ** (curves / 10)).astype(np.float32)[:, None]


def _noise(shape: tuple[int, ...], recipe: Recipe, rng: np.random.Generator) -> Floats:
    """Return noise under clips of unit loudness, falling or rising over the bands."""
    size, _, n_mels = shape
    slope_db = rng.uniform(-1, 1, (size, 1, 1)) * recipe.noise_slope_db * np.linspace(-1, 1, n_mels)
    mean = 10 ** ((slope_db - rng.uniform(*recipe.noise_snr_db, (size, 1, 1))) / 10) / n_mels
    return (mean * rng.gamma(NOISE_SHAPE, 1 / NOISE_SHAPE, shape)).astype(np.float32)
