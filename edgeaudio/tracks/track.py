"""The latest sound of one source in one format, and where in it a moment is.

Owns: the Blocks in memory, their positions, and the gaps before and between them. Does not know: events, models, files.

Positions count the samples that came since the track began. So sound without its gaps has consecutive positions, as it
has in a file; where something is missing before a position, the track knows how much.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from edgeaudio.types import Block, Samples

MAX_GAPS = 1000  # that are known
GAPS_S = 720.0  # for which a gap is known: the longest clip, with its sound waiting


@dataclass(frozen=True, slots=True)
class _Piece:
    position: int  # of the Block's first sample
    block: Block

    @property
    def end(self) -> int:
        return self.position + len(self.block.samples)


class Track:
    """Blocks of one source with the same sample rate and number of channels."""

    def __init__(self, block: Block) -> None:
        self.sample_rate = block.sample_rate  # Hz
        self.channels = block.n_channels
        self.bytes = 0  # of all samples
        self._pieces: deque[_Piece] = deque()
        # position of the sample behind it, and lost seconds; also of sound that is no longer in memory, as the end of a
        # clip is counted from its event's offset on
        self._gaps: deque[tuple[int, float]] = deque(maxlen=MAX_GAPS)
        self._end = 0
        self.add(block)

    def fits(self, block: Block) -> bool:
        """True if a Block has the track's format."""
        return (block.sample_rate, block.n_channels) == (self.sample_rate, self.channels)

    @property
    def begin(self) -> int:
        """Position of the oldest sample in memory."""
        return self._pieces[0].position if self._pieces else self._end

    @property
    def end(self) -> int:
        """Position after the newest sample."""
        return self._end

    def add(self, block: Block) -> None:
        """Append a Block."""
        if self._pieces:
            last = self._pieces[-1].block
            follows = last.offset + len(last.samples)
            if block.epoch != last.epoch or block.offset < follows:
                ended_at = last.at + timedelta(seconds=last.duration_s)
                self._gaps.append((self._end, max(0.0, (block.at - ended_at).total_seconds())))
            elif block.offset > follows:
                self._gaps.append((self._end, (block.offset - follows) / self.sample_rate))
        while self._gaps and self._gaps[0][0] < self._end - GAPS_S * self.sample_rate:
            self._gaps.popleft()
        self._pieces.append(_Piece(self._end, block))
        self._end += len(block.samples)
        self.bytes += block.samples.nbytes

    def position(self, epoch: int, sample: int) -> int | None:
        """Return the position of a sample of an epoch; None if nothing of the epoch is in memory.

        Of a sample that is older than what is in memory, or newer, it is where the sample would be.
        """
        first = None
        newest = True
        for piece in reversed(self._pieces):
            if piece.block.epoch == epoch:
                if piece.block.offset <= sample:
                    position = piece.position + sample - piece.block.offset
                    return position if newest else min(position, piece.end)
                first = piece
            newest = False
        return None if first is None else first.position - (first.block.offset - sample)

    def sample(self, position: int) -> tuple[int, int]:
        """Return epoch and sample of a position in memory."""
        block, ahead = self._find(position)
        return block.epoch, block.offset + ahead

    def duration_s(self, begin: int, end: int) -> float:
        """Return the seconds from one position to a later one, with the gaps that are known."""
        lost_s = sum(lost_s for gap, lost_s in self._gaps if begin < gap <= end)
        return (end - begin) / self.sample_rate + lost_s

    def back(self, position: int, duration_s: float) -> int:
        """Return the position so much earlier; gaps count, and what is not in memory is missing."""
        for gap, lost_s in reversed(self._gaps):
            if gap > position:
                continue
            before_s = duration_s - (position - gap) / self.sample_rate
            if before_s <= 0:
                break
            if before_s <= lost_s:
                return max(self.begin, gap)
            position, duration_s = gap, before_s - lost_s
        return max(self.begin, position - round(duration_s * self.sample_rate))

    def ahead(self, position: int, duration_s: float) -> int:
        """Return the position so much later; gaps that are known count. It may be newer than what is in memory."""
        for gap, lost_s in self._gaps:
            if gap < position:
                continue
            after_s = duration_s - (gap - position) / self.sample_rate
            if after_s <= 0:
                break
            if after_s <= lost_s:
                return gap
            position, duration_s = gap, after_s - lost_s
        return position + round(duration_s * self.sample_rate)

    def gaps(self, begin: int, end: int) -> Iterator[tuple[int, float]]:
        """Yield position and lost seconds of each gap behind `begin` and before `end`."""
        for gap, lost_s in self._gaps:
            if begin < gap < end:
                yield gap, lost_s

    def read(self, begin: int, end: int) -> Iterator[Samples]:
        """Yield the samples from a position in memory to another."""
        for piece in self._pieces:
            if piece.end <= begin:
                continue
            if piece.position >= end:
                return
            yield piece.block.samples[max(0, begin - piece.position) : end - piece.position]

    def blocks(self, begin: int, end: int) -> Iterator[Block]:
        """Yield the sound from a position in memory to another, as parts of its Blocks."""
        for piece in self._pieces:
            block, first = piece.block, max(begin - piece.position, 0)
            samples = block.samples[first : max(end - piece.position, 0)]
            if len(samples):
                at = block.at + timedelta(seconds=first / self.sample_rate)
                yield replace(block, offset=block.offset + first, at=at, samples=samples)

    def forget(self, before: int) -> None:
        """Drop the Blocks that end before a position."""
        while self._pieces and self._pieces[0].end <= before:
            self.forget_oldest()

    def forget_oldest(self) -> None:
        """Drop one Block."""
        if self._pieces:
            self.bytes -= self._pieces.popleft().block.samples.nbytes

    def _find(self, position: int) -> tuple[Block, int]:
        """Return the Block with a position, and how many samples before that it has."""
        piece = next(piece for piece in reversed(self._pieces) if piece.position <= position)
        return piece.block, position - piece.position
