"""The live columns of one source, from Blocks: streams without a hole, one after the other.

Owns: when a stream begins, its sequence, and the time of each column.
Does not know: leases, spectra (spectrum.py), how columns are sent.

A hole in the sound (another epoch, a Block that is missing) begins a new stream, and so does sound that comes faster
than it plays for longer than a buffer explains (continuity.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from edgeaudio.sinks.live.continuity import Allowance, Continuity
from edgeaudio.sinks.live.spectrum import FLOOR_DB, PACKET_COLUMNS, STEP_DB, Spectrum
from edgeaudio.types import Block, LiveColumns


class ColumnSource:
    """Every stream of one source, while it is leased. Times are monotonic seconds, handed in."""

    def __init__(self, now_s: float) -> None:
        self._stream: _Stream | None = None
        self._had_stream = False
        self._allowance = Allowance(now_s)

    def feed(self, block: Block, now_s: float) -> Iterator[LiveColumns]:
        """Yield the columns that a Block completes."""
        if not self._allowance.takes(block.duration_s, now_s):
            self._stream = None
            return
        if self._stream is None or not self._stream.is_continued_by(block):
            self._stream = _Stream(block, follows_gap=self._had_stream)
            self._had_stream = True
        yield from self._stream.feed(block)

    def end_epoch(self) -> None:
        """Join nothing that comes later to what came before."""
        self._stream = None


class _Stream:
    """Columns of sound without a hole."""

    def __init__(self, first: Block, *, follows_gap: bool) -> None:
        self._sequence = 0
        self._follows_gap = follows_gap
        self._spectrum = Spectrum(first.sample_rate)
        self._continuity = Continuity(first)
        self._first_offset = first.offset  # of the next packet
        self.is_continued_by = self._continuity.is_continued_by

    def feed(self, block: Block) -> Iterator[LiveColumns]:
        self._continuity.take(block)
        spectrum = self._spectrum
        for levels in spectrum.feed(block.samples):
            yield LiveColumns(
                source=block.source,
                stream=self._continuity.stream,
                sequence=self._sequence,
                at=self._continuity.at(self._first_offset + spectrum.n_fft // 2),
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
