"""Scenes for evaluating events: a labelled sound at a known moment over other sound.

Owns: how a scene is made, where a sound begins and ends in its recording, the SNR, and the scenes and negatives of
labelled recordings.
Does not know: models, scores, thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.synth import acoustics
from tools.synth.scenes import received
from tools.training.event_trials import Stretch, Target

Samples = NDArray[np.float32]

SNRS_DB = (20, 10, 5)
SCENE_S = 20.0
ONSET_S = (6.0, 9.0)
PIECE_S = 0.025
SOUNDING_DB = 20.0  # under the loudest piece of a sound, the rest of it sounds
SCENES = "scenes with a labelled sound"


@dataclass(frozen=True, slots=True, eq=False)
class RecordedSounds:
    """Recordings that the model of one fold is evaluated with.

    labelled: Recordings by label, float32 (n,) each, all of them sounding somewhere.
    unlabelled: Recordings that carry none of the labels.
    """

    fold: int
    sample_rate: int  # Hz
    labelled: Mapping[str, Sequence[Samples]]
    unlabelled: Sequence[Samples]

    def stretches(self, snrs_db: Sequence[int], scene_s: float, seed: int) -> Iterator[Stretch]:
        """Yield a scene of each labelled recording at each SNR, then all recordings themselves; a seed repeats them."""
        for index, (label, recordings) in enumerate(self.labelled.items()):
            for snr_db in snrs_db:
                for number, sound in enumerate(recordings):
                    rng = np.random.default_rng((seed, self.fold, index, snr_db, number))
                    yield self._scene(label, sound, snr_db, scene_s, rng)
        for label, recordings in self.labelled.items():
            yield Stretch("labelled recordings, as they are", np.concatenate(recordings), frozenset({label}))
        if self.unlabelled:  # end to end: one alone may be shorter than a clip
            yield Stretch("recordings without a label, as they are", np.concatenate(self.unlabelled), frozenset())

    def _scene(self, label: str, sound: Samples, snr_db: int, scene_s: float, rng: np.random.Generator) -> Stretch:
        """Return a recording over sound of another label or of none, each of them as likely."""
        rate, n = self.sample_rate, round(scene_s * self.sample_rate)
        behind: list[tuple[str | None, Sequence[Samples]]] = [
            (name, recordings) for name, recordings in self.labelled.items() if name != label
        ]
        if self.unlabelled:
            behind.append((None, self.unlabelled))
        background = acoustics.coloured_noise(n, rng, slope=rng.uniform(0, 2)) * np.float32(10 ** (-30 / 20))
        present = frozenset({label})
        if behind:
            name, recordings = behind[int(rng.integers(len(behind)))]
            background += acoustics.at_level(chain(recordings, n, rng), 0.0)
            present |= {name} if name else set()
        placed, span = place(sound, round(rng.uniform(*ONSET_S) * rate), n, rate)
        mixed = at_snr(placed, background, span, snr_db, rate)
        target = Target(label, snr_db, span.start / rate, span.stop / rate)
        return Stretch(SCENES, recorded(mixed, rate, rng, through=False), present, target)


def place(sound: Samples, onset: int, n: int, sample_rate: int) -> tuple[Samples, slice]:
    """Return a recording in n samples of silence, its sound beginning at sample `onset`, and the span of the sound."""
    first, last = bounds(sound, sample_rate)
    placed = np.zeros(n, dtype=np.float32)
    lead = min(first, onset)
    sound = sound[first - lead :][: n - onset + lead]
    placed[onset - lead : onset - lead + len(sound)] = sound
    return placed, slice(onset, min(n, onset + last - first))


def is_sounding(samples: Samples, sample_rate: int) -> bool:
    """True if the samples are a piece long at least, and not silent."""
    return len(samples) >= round(PIECE_S * sample_rate) and acoustics.rms(samples) > 0.0


def chain(recordings: Sequence[Samples], n: int, rng: np.random.Generator) -> Samples:
    """Return recordings end to end, all at one level, in any order; float32 (n,)."""
    pieces: list[Samples] = []
    while sum(map(len, pieces)) < n:
        pieces += [acoustics.at_level(recordings[i], 0.0) for i in rng.permutation(len(recordings))]
    return np.concatenate(pieces)[:n]


def recorded(samples: Samples, sample_rate: int, rng: np.random.Generator, *, through: bool) -> Samples:
    """Return the sound at a level of cameras: `through` a microphone and a codec, or as it is."""
    if through:
        return received(samples, sample_rate, rng)
    return np.clip(acoustics.at_level(samples, rng.uniform(-40, -15)), -1.0, 1.0)


def bounds(sound: Samples, sample_rate: int) -> tuple[int, int]:
    """Return the first sample of the first sounding piece, and the one after the last sounding piece."""
    size, levels = _levels(sound, sample_rate)
    pieces = np.flatnonzero(_sounding(levels))
    return int(pieces[0]) * size, (int(pieces[-1]) + 1) * size


def sounding_rms(sound: Samples, sample_rate: int) -> float:
    """Return the RMS over the pieces of PIECE_S that are at most SOUNDING_DB under the loudest one."""
    _, levels = _levels(sound, sample_rate)
    return float(np.sqrt(np.mean(levels[_sounding(levels)] ** 2)))


def at_snr(sound: Samples, background: Samples, span: slice, snr_db: float, sample_rate: int) -> Samples:
    """Return both mixed, the sound's sounding parts in the span `snr_db` over the background's RMS in the span."""
    heard = sounding_rms(sound[span], sample_rate)
    wanted = acoustics.rms(background[span]) * 10 ** (snr_db / 20)
    return background if heard == 0.0 else background + sound * np.float32(wanted / heard)


def _levels(sound: Samples, sample_rate: int) -> tuple[int, Samples]:
    """Return the samples in a piece, and the RMS of each whole piece, float32 (n_pieces,)."""
    size = round(PIECE_S * sample_rate)
    whole = sound[: len(sound) // size * size].reshape(-1, size)
    return size, np.sqrt(np.mean(whole**2, axis=1))


def _sounding(levels: Samples) -> NDArray[np.bool_]:
    return np.asarray(levels >= levels.max() * 10 ** (-SOUNDING_DB / 20))
