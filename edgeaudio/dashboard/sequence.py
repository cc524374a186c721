"""The numbers of a device's detections: which are missing.

Owns: the gaps of one device. Pure: times are handed in. Does not know: detections, where gaps are kept (history.py).

A device counts its detections one by one (`seq`). They can come twice, and those that were quarantined come later than
others: a number that arrives late closes its gap. A new outbox counts from 1 under another `seq_epoch`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MAX_GAPS = 100


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that did not arrive, both ends included."""

    first: int
    last: int
    noticed_s: float  # Unix time

    @property
    def length(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Sequence:
    """What arrived of one device."""

    epoch: str
    next_seq: int  # after the highest that arrived
    gaps: tuple[Gap, ...] = ()  # in order, at most MAX_GAPS: beyond it the oldest are given up
    given_up: int = 0  # numbers of gaps that can no longer close: of earlier epochs, or beyond MAX_GAPS

    @property
    def missing(self) -> int:
        """Numbers that did not arrive."""
        return self.given_up + sum(gap.length for gap in self.gaps)

    @classmethod
    def begin(cls, epoch: str, seq: int) -> Sequence:
        """Return the sequence of a device that is new here: what it sent earlier is not missed."""
        return cls(epoch, seq + 1)

    def received(self, epoch: str, seq: int, now_s: float) -> Sequence:
        """Return the sequence after a detection arrived."""
        if epoch != self.epoch:
            return Sequence(epoch, 1, (), self.missing).received(epoch, seq, now_s)
        if seq < self.next_seq:
            return self._closed(seq)
        gaps = self.gaps
        if seq > self.next_seq:
            gaps = (*gaps, Gap(self.next_seq, seq - 1, now_s))
        given_up = self.given_up + sum(gap.length for gap in gaps[:-MAX_GAPS])
        return Sequence(epoch, seq + 1, gaps[-MAX_GAPS:], given_up)

    def _closed(self, seq: int) -> Sequence:
        """Return the sequence without the gap at a number that came late; a repeated number changes nothing."""
        gaps: list[Gap] = []
        for gap in self.gaps:
            if gap.first <= seq <= gap.last:
                if gap.first < seq:
                    gaps.append(replace(gap, last=seq - 1))
                if seq < gap.last:
                    gaps.append(replace(gap, first=seq + 1))
            else:
                gaps.append(gap)
        given_up = self.given_up + sum(gap.length for gap in gaps[:-MAX_GAPS])
        return replace(self, gaps=tuple(gaps[-MAX_GAPS:]), given_up=given_up)
