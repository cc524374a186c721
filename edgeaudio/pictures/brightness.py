"""Powers as steps of a palette: each picture is normalised to its own loudest cell.

Owns: the range of levels that the palette spans. Does not know: colours, axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeaudio.decibels import LEAST_POWER
from edgeaudio.pictures.spectrum import Powers

# automatic range: from the noise to the loudest cell. What is far below (frequencies that a codec or a camera leaves
# out) is no noise
_MOST_AUTO_DB, _LEAST_AUTO_DB = 90.0, 30.0
_NOISE_PERCENTILE = 40


@dataclass(frozen=True, slots=True, eq=False)
class Shades:
    """Cells as steps from 0 (darkest colour) to 255, and what the ends mean."""

    steps: NDArray[np.uint8]  # as the powers
    gaps: NDArray[np.bool_]  # cells without sound
    low_dbfs: float
    high_dbfs: float
    silent: bool  # nothing but digital silence


def shades(powers: Powers, range_db: float | None, gain_db: float) -> Shades:
    """Return the shades of powers, NaN where there is no sound.

    range_db: from the loudest cell down to the darkest colour; None: down to the noise floor.
    """
    gaps = np.isnan(powers)
    levels = 10 * np.log10(np.fmax(powers, LEAST_POWER, dtype=np.float64))
    heard = levels[~gaps & (powers > LEAST_POWER)]
    if len(heard) == 0:
        return Shades(np.zeros(powers.shape, np.uint8), gaps, -200.0, -200.0, silent=True)
    high = float(heard.max())
    if range_db is None:
        noise = float(np.percentile(heard[heard >= high - _MOST_AUTO_DB], _NOISE_PERCENTILE))
        range_db = max(high - noise, _LEAST_AUTO_DB)
    high -= gain_db
    low = high - range_db
    steps = np.rint(np.clip((levels - low) * (255 / range_db), 0, 255))
    return Shades(steps.astype(np.uint8), gaps, low, high, silent=False)
