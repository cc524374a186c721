"""Sound without a hole, piece by piece: what continues it, when each sample was, and how much is taken a second.

Owns: when another stream begins, its id, the time of each sample, and how much is taken of sound that comes too fast.
Does not know: what is made of the sound (stream.py, sound.py), leases.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

from edgeaudio.types import Block

BUFFER_S: Final = 15.0  # sound that may come at once: a segment of HLS, what a camera has buffered
DRIFT_S: Final = 0.001  # between the times of Blocks and the count of samples


class Allowance:
    """How much of a source's sound is taken: as much as it plays, and BUFFER_S at once. Times are monotonic seconds.

    Of a recording that is read at full speed, only as much is taken as can be watched.
    """

    def __init__(self, now_s: float) -> None:
        self._left_s, self._at_s = BUFFER_S, now_s

    def takes(self, duration_s: float, now_s: float) -> bool:
        """True if so much sound may be taken, which it is then."""
        self._left_s = min(BUFFER_S, self._left_s + now_s - self._at_s)
        self._at_s = now_s
        if self._left_s <= 0:
            return False
        self._left_s -= duration_s
        return True


class Continuity:
    """One stream: its number, which Block continues it, and the times of its samples."""

    def __init__(self, first: Block) -> None:
        self.stream = random.getrandbits(32)
        self._form = _form(first)
        self._sample_rate = first.sample_rate
        self._next_offset = first.offset
        self._anchor = first.offset, first.at

    def is_continued_by(self, block: Block) -> bool:
        """True if there is no hole before a Block."""
        return _form(block) == self._form and block.offset == self._next_offset

    def take(self, block: Block) -> None:
        """Note the next Block."""
        if abs((block.at - self.at(block.offset)).total_seconds()) > DRIFT_S:
            self._anchor = block.offset, block.at
        self._next_offset += len(block.samples)

    def at(self, offset: float) -> datetime:
        """Return the time of a sample, by its offset in the epoch."""
        first, at = self._anchor
        return at + timedelta(seconds=(offset - first) / self._sample_rate)


def _form(block: Block) -> tuple[int, int, tuple[int, ...]]:
    """Return what is the same for all Blocks of a stream: epoch, sample rate and channels."""
    return block.epoch, block.sample_rate, block.samples.shape[1:]
