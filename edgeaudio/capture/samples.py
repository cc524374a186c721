"""Samples of decoded audio frames as float32: scaling to [-1, 1], and repair of broken floats. Never resamples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from av.audio.frame import AudioFrame

from edgeaudio.types import Samples

# value of one unit of each of FFmpeg's sample formats; unsigned bytes are centred on 128
_SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31, "s64": 2.0**-63, "flt": 1.0, "dbl": 1.0}
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_U8_CENTRE = np.float32(128)


def samples_of(parts: Sequence[AudioFrame | int], channels: int) -> tuple[Samples, int]:
    """Return consecutive frames as samples in [-1, 1], float32 `(n,)` or `(n, channels)`, and how many were broken.

    All frames have `channels`; an int is a number of samples of silence. Broken values, NaN or infinite, become 0.
    Many frames cost little more than one.
    """
    pieces = [_same(list(run), channels) for _, run in groupby(parts, _format_name)]
    return in_range(pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1))


class Joiner:
    """Joins the frames of one connection, and counts its broken values."""

    def __init__(self) -> None:
        self.channels = 1  # of the frames
        self.broken = 0  # values that became 0

    def join(self, parts: Sequence[AudioFrame | int]) -> Samples:
        """Return the samples of consecutive frames; see `samples_of`."""
        samples, broken = samples_of(parts, self.channels)
        self.broken += broken
        return samples


def planes_of(frames: Sequence[AudioFrame]) -> Samples:
    """Return frames of one format and layout as float32 `(channels, n)`. Floats may still exceed [-1, 1] or be NaN."""
    channels, name = frames[0].layout.nb_channels, frames[0].format.name
    kind = name.removesuffix("p")
    with np.errstate(over="ignore"):  # a double beyond float32 becomes inf, which `in_range` replaces
        if kind != name:
            values = np.stack([_joined(frames, plane, kind, 1) for plane in range(channels)])
        else:
            values = _joined(frames, 0, kind, channels).reshape(-1, channels).T
    if kind == "u8":
        values -= _U8_CENTRE
    if (scale := _SCALES[kind]) != 1.0:
        values *= np.float32(scale)
    return values


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
    samples = np.empty((planes.shape[1], len(planes)), np.float32)
    for channel, plane in enumerate(planes):  # a transposed copy takes five times as long
        np.clip(plane, np.float32(-1), np.float32(1), out=samples[:, channel])
    return samples[:, 0] if len(planes) == 1 else samples, broken


def _joined(frames: Sequence[AudioFrame], plane: int, kind: str, channels: int) -> Samples:
    """Return one plane of all frames, float32 `(n,)`, unscaled."""
    # a plane is padded for alignment, so its length is not that of the samples; and PyAV finds more than eight planes
    # where there are eight, because it looks for the end of a list that has none
    raw = [np.frombuffer(memoryview(frame.planes[plane]), _DTYPES[kind], frame.samples * channels) for frame in frames]
    joined: Samples = np.concatenate(raw, dtype=np.float32, casting="same_kind")
    return joined


def _format_name(part: AudioFrame | int) -> str:
    return "" if isinstance(part, int) else part.format.name


def _same(parts: Sequence[AudioFrame | int], channels: int) -> Samples:
    """Return frames of one format, or silence, as float32 `(channels, n)`."""
    frames = [part for part in parts if not isinstance(part, int)]
    if frames:
        return planes_of(frames)
    return np.zeros((channels, sum(part for part in parts if isinstance(part, int))), np.float32)
