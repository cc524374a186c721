"""Sound files decoded to numbers."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from edgeaudio.types import Samples


def decoded(path: Path) -> tuple[Samples, int]:
    """Return the samples (n, channels) and the sample rate of a file."""
    pieces = []
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        for frame in container.decode(stream):
            values = frame.to_ndarray()
            rows = values.T if frame.format.is_planar else values.reshape(-1, len(frame.layout.channels))
            scale = 1.0 if rows.dtype == np.float32 else 2.0 ** (8 * rows.dtype.itemsize - 1)
            pieces.append((rows / scale).astype(np.float32))
        return np.concatenate(pieces), stream.rate
