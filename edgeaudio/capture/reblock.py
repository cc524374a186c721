"""Chunks of steady length from frames of any length, with their offsets within one epoch.

Owns: lengths and offsets. Does not know: what a frame is made of; the caller joins frames to samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from edgeaudio.types import Samples


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of chunks: none exceeds `max_s`, and none is yielded before there is `min_s` of sound.

    But a chunk is yielded at the end, and of MAX_FRAMES frames.
    """

    min_s: float
    max_s: float


# sound that is recognised as it comes: short for low latency, long enough that the overhead of a Block is small; longer
# where it is read at once
LIVE = Lengths(0.05, 0.75)
# recordings that are read as fast as they decode
STORED = Lengths(1.0, 1.0)

MAX_FRAMES = 1000  # a decoded frame takes a kilobyte, even if it holds a single sample

Frame = TypeVar("Frame")


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


class Reblocker(Generic[Frame]):
    """Reblocker of one epoch: `add` takes frames and yields chunks, `flush` yields the rest."""

    def __init__(self, join: Callable[[list[Frame]], Samples], lengths: Lengths = LIVE) -> None:
        """`join` returns the samples of consecutive frames, float32 `(n,)` or `(n, channels)`."""
        self._join = join
        self._lengths = lengths
        self._frames: list[Frame] = []
        self._held = 0  # samples in _frames
        self._offset = 0  # of the first of them
        self._rate = 1
        self._begin_s = 0.0

    def add(self, frames: Sequence[Frame], length: int, rate: int, begin_s: float) -> Iterator[Chunk]:
        """Add frames, `length` samples together; yield the chunks that are complete."""
        if not self._frames:
            self._begin_s = begin_s
        self._rate = rate
        self._frames += frames
        self._held += length
        if self._held >= self._lengths.min_s * rate or len(self._frames) >= MAX_FRAMES:
            yield from self.flush()

    @property
    def length(self) -> int:
        """Samples added so far."""
        return self._offset + self._held

    def flush(self) -> Iterator[Chunk]:
        """Yield what is held back."""
        if not self._frames:
            return
        whole = self._join(self._frames)
        self._frames, self._held = [], 0
        pieces = -(-len(whole) // max(1, int(self._lengths.max_s * self._rate)))
        done = 0
        for piece in [whole] if pieces == 1 else np.array_split(whole, pieces):
            yield Chunk(self._offset, self._begin_s + done / self._rate, self._rate, piece)
            self._offset += len(piece)
            done += len(piece)
