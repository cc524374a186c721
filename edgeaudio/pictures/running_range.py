"""The range of levels that the palette of a film spans: fixed, or following the sound.

Owns: how fast it follows. Does not know: colours, pixels.

An automatic range begins at the noise, so that a quiet hydrophone is seen as well as a loud street, and ends at the
loudest of the last seconds. Only what came before a column decides how it is drawn: what was drawn stays as it is.
"""

from __future__ import annotations

from math import exp

import numpy as np
from numpy.typing import NDArray

from edgeaudio.decibels import LEAST_POWER
from edgeaudio.pictures.spectrum import Powers

_LEAST_AUTO_DB, _MOST_AUTO_DB = 30.0, 90.0
_NOISE_PERCENTILE = 40
_HEADROOM_DB = 3.0  # above the loudest
# time constants
_NOISE_S = 8.0
_RISE_S = 0.5
_FALL_S = 20.0
_STEP_S = 0.1  # from one look at the levels to the next
_EVERY_ROW = 4  # of which one is looked at for the noise


class RunningRange:
    """Levels as steps of a palette from 0 to 255."""

    def __init__(self, range_db: float | None, gain_db: float, column_s: float) -> None:
        """`range_db`: from full scale (0 dBFS) down to the darkest colour; None: automatic."""
        self._is_auto = range_db is None
        self._gain_db = gain_db
        self._high = 0.0
        self._low = -(range_db or _MOST_AUTO_DB)  # automatic: until there is sound
        self._step = max(1, round(_STEP_S / column_s))  # columns
        self._step_s = self._step * column_s
        self._seen_s = 0.0

    @property
    def low_dbfs(self) -> float:
        """Level of the darkest colour."""
        return self._low - self._gain_db

    @property
    def high_dbfs(self) -> float:
        """Level of the brightest colour."""
        return self._high - self._gain_db

    def steps(self, first: int, powers: Powers) -> NDArray[np.uint8]:
        """Return the steps of columns from number `first` on, `(n, n_rows)`; any step where there was no sound."""
        levels = np.log10(np.fmax(powers, np.float32(LEAST_POWER)), dtype=np.float32)
        levels *= np.float32(10)
        shown = np.empty(levels.shape, np.uint8)
        at = 0
        while at < len(levels):
            # by the columns' numbers, so that it does not depend on how many come at once
            until = min(len(levels), at + self._step - (first + at) % self._step)
            if self._is_auto and ((first + at) % self._step == 0 or self._seen_s == 0.0):
                self._follow(levels[at], np.isnan(powers[at, 0]))
            scale = np.float32(255 / (self._high - self._low))
            shifted = levels[at:until] - np.float32(self.low_dbfs)
            shifted *= scale
            np.rint(shifted, out=shifted)
            shown[at:until] = np.clip(shifted, 0, 255, out=shifted)
            at = until
        return shown

    def _follow(self, column: NDArray[np.float32], is_gap: np.bool_) -> None:
        heard = column[column > 10 * np.log10(LEAST_POWER)]
        if is_gap or len(heard) == 0:
            return
        peak = float(heard.max()) + _HEADROOM_DB
        some = heard[heard >= peak - _HEADROOM_DB - _MOST_AUTO_DB][::_EVERY_ROW]
        at = len(some) * _NOISE_PERCENTILE // 100
        noise = float(np.partition(some, at)[at])
        if self._seen_s == 0.0:
            self._low, self._high = noise, peak
        # a mean of all so far, until that is as long as the time constant
        slow_s = min(_NOISE_S, self._seen_s)
        self._low += (noise - self._low) * (1 - exp(-self._step_s / max(slow_s, self._step_s)))
        follow_s = _RISE_S if peak > self._high else _FALL_S
        self._high += (peak - self._high) * (1 - exp(-self._step_s / follow_s))
        self._high = max(self._high, self._low + _LEAST_AUTO_DB)
        self._seen_s += self._step_s
