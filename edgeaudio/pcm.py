"""Samples as 16-bit PCM, little endian, and back. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgeaudio.types import Samples

_FULL_SCALE: Final = np.float32(32767.0)


def pcm_of(samples: Samples) -> bytes:
    """Return float32 samples `(n,)` as PCM; what is beyond full scale is cut, and what is no number is silence."""
    clean: Samples = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    scaled: Samples = np.clip(clean, np.float32(-1.0), np.float32(1.0)) * _FULL_SCALE
    pcm: bytes = np.rint(scaled).astype("<i2").tobytes()
    return pcm


def samples_of(pcm: bytes) -> Samples:
    """Return PCM of whole samples as float32 `(n,)`."""
    samples: Samples = np.frombuffer(pcm, "<i2").astype(np.float32) / _FULL_SCALE
    return samples
