"""Samples of decoded audio frames as float32: scaling to [-1, 1], and repair of broken floats. Never resamples."""

from __future__ import annotations

import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from edgeaudio.types import Samples

# value of one unit of each of FFmpeg's sample formats; unsigned bytes are centred on 128
_SCALES = {"s16": 2.0**-15, "s32": 2.0**-31, "s64": 2.0**-63, "flt": 1.0, "dbl": 1.0}
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


def planes_of(frame: AudioFrame) -> Samples:
    """Return the frame's samples, float32 `(channels, n)`. Floats may still exceed [-1, 1] or be NaN."""
    channels = frame.layout.nb_channels
    name = frame.format.name
    planar = name.endswith("p")
    kind = name.removesuffix("p")
    wanted = frame.samples * (1 if planar else channels)
    # a plane is padded for alignment, so its length is not that of the samples; and PyAV finds more than eight planes
    # where there are eight, because it looks for the end of a list that has none
    planes = frame.planes[: channels if planar else 1]
    raw = [np.frombuffer(memoryview(plane), _DTYPES[kind], wanted) for plane in planes]
    values: NDArray[np.generic] = np.stack(raw) if planar else raw[0].reshape(-1, channels).T
    if kind == "u8":
        return (values.astype(np.float32) - np.float32(128)) * np.float32(2.0**-7)
    if kind in {"flt", "dbl"}:
        with np.errstate(over="ignore"):  # a double beyond float32 becomes inf, which `in_range` replaces
            return values.astype(np.float32)
    return values.astype(np.float32) * np.float32(_SCALES[kind])


def in_range(planes: Samples) -> tuple[Samples, int]:
    """Return `planes` `(channels, n)` as `(n,)` or `(n, channels)` in [-1, 1], and the number of broken values.

    NaN and infinity become 0.
    """
    broken = 0
    if not np.isfinite(planes).all():
        good = np.isfinite(planes)
        broken = int(good.size - np.count_nonzero(good))
        planes = np.where(good, planes, np.float32(0))
    # decoders of lossy codecs overshoot full scale, and values of broken files must not overflow a mean
    planes = np.clip(planes, np.float32(-1), np.float32(1))
    return planes[0] if len(planes) == 1 else np.ascontiguousarray(planes.T), broken
