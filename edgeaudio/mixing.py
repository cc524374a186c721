"""One signal of several channels: their mean, or one of them. Pure. Which it is decides recognise/channels.py."""

from __future__ import annotations

import numpy as np

from edgeaudio.types import Channel, Samples


def mixed(samples: Samples, heard: Channel) -> Samples:
    """Return the signal `(n,)` of samples `(n,)` or `(n, channels)`: `"mix"`, or the number of a channel, from 1.

    A channel number beyond the last channel means the last.
    """
    if samples.ndim == 1:
        return samples
    if not isinstance(heard, int):
        return mean(samples)
    return np.ascontiguousarray(samples[:, min(heard, samples.shape[1]) - 1])


def mean(samples: Samples) -> Samples:
    """Return the mean `(n,)` of the channels of samples `(n, channels)`, bit-equal however the samples are split."""
    total = samples[:, 0].copy()
    for channel in range(1, samples.shape[1]):
        total += samples[:, channel]
    total *= np.float32(1 / samples.shape[1])
    return total
