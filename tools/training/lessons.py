"""What a teacher, another model, hears in recordings: scores of its clips, and of any stretch of a recording.

Owns: how a teacher is asked, and which of its clips count for a stretch. Does not know: networks, or what is trained.

A recording is brought to one level first: a network that hears no gain cannot learn what a teacher makes of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.fused_model import FusedModel
from edgeaudio.recognise.model import Model, load_model
from edgeaudio.recognise.resample import Resampler

Floats = NDArray[np.float32]

PEAK = 0.5
CLIPS_AT_A_TIME = 2  # a teacher's clips follow each other by half of one
HEARD = 0.5  # of a teacher's clip lies within the stretch, or the clip does not count


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Scores of a teacher's clips of one recording: (n_clips, n_labels), every `period_s`, each of `clip_s`."""

    scores: NDArray[np.float16]
    period_s: float
    clip_s: float

    def between(self, first_s: float, last_s: float) -> Floats:
        """Return the highest score of each label among the clips that lie in a stretch, half of them at least.

        Of a stretch that is shorter than that, the clip that holds most of it; float32 (n_labels,).
        """
        begins_s = self.period_s * np.arange(len(self.scores))
        overlap_s = np.minimum(begins_s + self.clip_s, last_s) - np.maximum(begins_s, first_s)
        within = overlap_s >= HEARD * self.clip_s
        chosen = self.scores[within] if within.any() else self.scores[[int(np.argmax(overlap_s))]]
        return np.asarray(chosen.max(axis=0), dtype=np.float32)


def load_teacher(directory: Path) -> Model:
    """Return the model in a directory; one of samples, of any rate.

    Raises:
        EdgeaudioError: It cannot be loaded, or takes features.
    """
    teacher = load_model(directory)
    if isinstance(teacher, FusedModel):
        raise EdgeaudioError(f"{directory}: is no teacher: a teacher is a model of its own, and not fused")
    if teacher.manifest.input.kind != "waveform" or teacher.manifest.input.stateful:
        raise EdgeaudioError(f"{directory}: is no teacher: a teacher takes samples, and keeps no state")
    return teacher


def lessons(recordings: Sequence[NDArray[np.float32]], sample_rate: int, teacher: Model, folder: Path) -> list[Lesson]:
    """Return what a teacher hears in each recording, (n,) at `sample_rate`; kept in `folder` for the next time."""
    clip = teacher.manifest.clip
    period_s = (clip.n_samples // CLIPS_AT_A_TIME) / clip.sample_rate
    counts, scores = _kept(recordings, sample_rate, teacher, folder)
    ends = np.cumsum(counts)
    return [
        Lesson(scores[end - n : end], period_s, clip.n_samples / clip.sample_rate)
        for n, end in zip(counts, ends, strict=True)
    ]


def _kept(
    recordings: Sequence[NDArray[np.float32]], sample_rate: int, teacher: Model, folder: Path
) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Return the number of clips of each recording, and the scores of all."""
    digest = hashlib.sha256(f"{teacher.manifest.sha256} {teacher.manifest.clip} {sample_rate} {PEAK}".encode())
    for samples in recordings:
        digest.update(np.ascontiguousarray(samples).tobytes())
    file = folder / f"lessons-{digest.hexdigest()[:16]}.npz"
    if file.exists():
        with np.load(file) as kept:
            return kept["counts"], kept["scores"]
    asked = [_scores(r, sample_rate, teacher) for r in tqdm(recordings, desc="teacher", unit="file", leave=False)]
    counts, scores = np.array([len(rows) for rows in asked]), np.concatenate(asked)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}.npz")
    np.savez(unfinished, counts=counts, scores=scores)
    unfinished.replace(file)
    return counts, scores


def _scores(samples: NDArray[np.float32], sample_rate: int, teacher: Model) -> NDArray[np.float16]:
    """Return the scores of clips that cover a recording, the last one padded with silence."""
    clip = teacher.manifest.clip
    resampler = Resampler(sample_rate, clip.sample_rate)
    samples = np.concatenate([resampler.feed(samples), resampler.flush()])
    samples = samples * np.float32(PEAK / max(float(np.max(np.abs(samples), initial=0.0)), 1e-9))
    step = clip.n_samples // CLIPS_AT_A_TIME
    n = 1 + max(0, -(-(len(samples) - clip.n_samples) // step))
    padded = np.pad(samples, (0, max(0, (n - 1) * step + clip.n_samples - len(samples))))
    rows = [teacher.scores(padded[k * step : k * step + clip.n_samples]) for k in range(n)]
    return np.asarray(rows, dtype=np.float16)[:, : len(teacher.manifest.labels)]
