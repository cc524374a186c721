"""Gain for voice activity: quiet sources are amplified to the level at which speech is recognised.

Owns: how much. Does not know: voice activity (voice_activity.py); what is passed on as an utterance keeps its level.

Silero VAD misses half of the speech at -50 dBFS in noise at 5 dB, and 4 % from -30 to -12 dBFS. So sound is amplified
if its level, held and falling by 1 dB a second, is under that range, and by less again as soon as it is above.
Between, the gain stays as it is: one that follows the level hides speech. Nothing is attenuated. The DC of a source,
which many microphones have, is no level, and is taken away before its sound is amplified.
"""

from __future__ import annotations

from math import log10
from typing import Final

import numpy as np

from edgeaudio.recognise.channels import mean_square
from edgeaudio.recognise.voice_activity import BATCH, HOP_LENGTH, SAMPLE_RATE
from edgeaudio.types import Samples

LOW_DBFS: Final = -34.0  # RMS of a batch, without DC
HIGH_DBFS: Final = -14.0
MOST_DB: Final = 40.0
_LENGTH: Final = BATCH * HOP_LENGTH  # samples: those that voice activity computes at once
_FALL_DB: Final = _LENGTH / SAMPLE_RATE  # of the held level, each batch: 1 dB a second
_LEAST_POWER: Final = 1e-12
_DC_SHARE: Final = 0.125  # of a batch's mean in the DC that is held: it follows in 2 s, and no sound is a part of it


class SpeechGain:
    """Gain of sound without a hole. Feed all of its samples in order, and call `flush` at its end."""

    def __init__(self) -> None:
        self._waiting: Samples = np.empty(0, np.float32)
        self._level_dbfs: float | None = None  # held; None: nothing was heard yet
        self._gain_db = 0.0
        self._dc: float | None = None  # held

    def feed(self, samples: Samples) -> Samples:
        """Append samples float32 `(n,)` at 16 kHz; return those of whole batches, amplified, in [-1, 1]."""
        held = np.concatenate([self._waiting, samples])
        whole = len(held) // _LENGTH * _LENGTH
        self._waiting = held[whole:].copy()  # a view would keep all of `held`
        amplified = [self._amplified(held[first : first + _LENGTH]) for first in range(0, whole, _LENGTH)]
        return np.concatenate(amplified) if amplified else np.empty(0, np.float32)

    def flush(self) -> Samples:
        """Return the last samples, amplified."""
        rest, self._waiting = self._waiting, np.empty(0, np.float32)
        return self._amplified(rest) if len(rest) else rest

    def _amplified(self, samples: Samples) -> Samples:
        mean = float(samples.mean(dtype=np.float64))
        level_dbfs = 10 * log10(mean_square(samples - np.float32(mean)) + _LEAST_POWER)
        first = self._level_dbfs is None
        held_dbfs = level_dbfs if self._level_dbfs is None else max(level_dbfs, self._level_dbfs - _FALL_DB)
        before_db, self._level_dbfs = self._gain_db, held_dbfs
        wanted_db = min(max(self._gain_db, LOW_DBFS - held_dbfs), HIGH_DBFS - held_dbfs)
        self._gain_db = min(max(wanted_db, 0.0), MOST_DB)
        before_dc = mean if self._dc is None else self._dc
        self._dc = before_dc + _DC_SHARE * (mean - before_dc)
        if self._gain_db == 0.0 and (first or before_db == 0.0):
            return samples
        # a step would be heard as a click
        centred = samples - np.linspace(before_dc, self._dc, len(samples), dtype=np.float32)
        if self._gain_db == before_db or first:
            gains: Samples | np.float32 = np.float32(_factor(self._gain_db))
        else:
            gains = np.linspace(_factor(before_db), _factor(self._gain_db), len(samples), dtype=np.float32)
        amplified: Samples = np.clip(centred * gains, np.float32(-1.0), np.float32(1.0))
        return amplified


def _factor(gain_db: float) -> float:
    return float(10 ** (gain_db / 20))
