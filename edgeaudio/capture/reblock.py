"""Chunks of 0.05 to 0.25 s from frames of any length, with their offsets within one epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgeaudio.types import Samples

# short for low latency, long enough that the overhead of a Block is small
MIN_BLOCK_S = 0.05
MAX_BLOCK_S = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive samples of one epoch."""

    offset: int  # of the first sample since the epoch began
    begin_s: float
    sample_rate: int  # Hz
    samples: Samples  # (n,) or (n, channels)

    @property
    def end_s(self) -> float:
        """End of the last sample."""
        return self.begin_s + len(self.samples) / self.sample_rate


class Reblocker:
    """Reblocker of one epoch: `add` takes frames and yields chunks, `flush` yields the rest."""

    def __init__(self, min_s: float = MIN_BLOCK_S) -> None:
        """`min_s`: the length of a chunk before which none is yielded, but by `flush`."""
        self._min_s = min_s
        self._parts: list[Samples] = []
        self._held = 0  # samples in _parts
        self._offset = 0  # of the first of them
        self._rate = 1
        self._begin_s = 0.0
        self.end_s = 0.0  # of the last sample added

    def add(self, samples: Samples, rate: int, begin_s: float) -> Iterator[Chunk]:
        """Add a frame, float32 `(n,)` or `(n, channels)`; yield the chunks that are complete."""
        if not self._parts:
            self._begin_s = begin_s
        self._rate = rate
        self.end_s = begin_s + len(samples) / rate
        self._parts.append(samples)
        self._held += len(samples)
        if self._held >= self._min_s * rate:
            yield from self.flush()

    @property
    def length(self) -> int:
        """Samples added so far."""
        return self._offset + self._held

    def flush(self) -> Iterator[Chunk]:
        """Yield what is held back."""
        if not self._parts:
            return
        whole = np.concatenate(self._parts) if len(self._parts) > 1 else self._parts[0]
        self._parts, self._held = [], 0
        pieces = -(-len(whole) // max(1, int(MAX_BLOCK_S * self._rate)))
        done = 0
        for piece in np.array_split(whole, pieces):
            yield Chunk(self._offset, self._begin_s + done / self._rate, self._rate, piece)
            self._offset += len(piece)
            done += len(piece)
