"""The live columns of one source, from Blocks: streams without a hole, one after the other.

Owns: when a stream begins, its id and sequence, the time of each column, and how much sound is taken a second.
Does not know: leases, spectra (spectrum.py), how columns are sent.

A hole in the sound (another epoch, a Block that is missing) begins a new stream. So does sound that comes faster than
it plays for longer than a buffer explains: of a recording that is read at full speed, only as much is taken as can be
watched.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from edgeaudio.sinks.live.spectrum import FLOOR_DB, PACKET_COLUMNS, STEP_DB, Spectrum
from edgeaudio.types import Block, LiveColumns

BUFFER_S: Final = 15.0  # sound that may come at once: a segment of HLS, what a camera has buffered
DRIFT_S: Final = 0.001  # between the times of Blocks and the count of samples


class ColumnSource:
    """Every stream of one source, while it is leased. Times are monotonic seconds, handed in."""

    def __init__(self, now_s: float) -> None:
        self._stream: _Stream | None = None
        self._had_stream = False
        self._allowed_s, self._allowed_at_s = BUFFER_S, now_s

    def feed(self, block: Block, now_s: float) -> Iterator[LiveColumns]:
        """Yield the columns that a Block completes."""
        if not self._may_take(block.duration_s, now_s):
            self._stream = None
            return
        if self._stream is None or not self._stream.is_continued_by(block):
            self._stream = _Stream(block, follows_gap=self._had_stream)
            self._had_stream = True
        yield from self._stream.feed(block)

    def end_epoch(self) -> None:
        """Join nothing that comes later to what came before."""
        self._stream = None

    def _may_take(self, duration_s: float, now_s: float) -> bool:
        self._allowed_s = min(BUFFER_S, self._allowed_s + now_s - self._allowed_at_s)
        self._allowed_at_s = now_s
        if self._allowed_s <= 0:
            return False
        self._allowed_s -= duration_s
        return True


class _Stream:
    """Columns of sound without a hole."""

    def __init__(self, first: Block, *, follows_gap: bool) -> None:
        self._id = random.getrandbits(32)
        self._sequence = 0
        self._follows_gap = follows_gap
        self._spectrum = Spectrum(first.sample_rate)
        self._form = _form(first)
        self._next_offset = first.offset
        self._first_offset = first.offset  # of the next packet
        self._anchor = first.offset, first.at

    def is_continued_by(self, block: Block) -> bool:
        return _form(block) == self._form and block.offset == self._next_offset

    def feed(self, block: Block) -> Iterator[LiveColumns]:
        if abs((block.at - self._at(block.offset, block.sample_rate)).total_seconds()) > DRIFT_S:
            self._anchor = block.offset, block.at
        self._next_offset += len(block.samples)
        spectrum = self._spectrum
        for levels in spectrum.feed(block.samples):
            yield LiveColumns(
                source=block.source,
                stream=self._id,
                sequence=self._sequence,
                at=self._at(self._first_offset + spectrum.n_fft // 2, block.sample_rate),
                hop_s=spectrum.hop / block.sample_rate,
                low_hz=0.0,
                high_hz=spectrum.high_hz,
                floor_db=FLOOR_DB,
                step_db=STEP_DB,
                follows_gap=self._follows_gap and self._sequence == 0,
                levels=levels,
            )
            self._sequence += 1
            self._first_offset += PACKET_COLUMNS * spectrum.hop

    def _at(self, offset: int, sample_rate: int) -> datetime:
        first, at = self._anchor
        return at + timedelta(seconds=(offset - first) / sample_rate)


def _form(block: Block) -> tuple[int, int, tuple[int, ...]]:
    """Return what is the same for all Blocks of a stream: epoch, sample rate and channels."""
    return block.epoch, block.sample_rate, block.samples.shape[1:]
