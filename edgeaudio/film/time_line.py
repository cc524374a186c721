"""Where each Block is on the film's own time.

Owns: the film's beginning, holes, sound that comes too late, and the drift of a sender's clock.
Does not know: pictures, encoders, threads. Pure: the caller passes every time.

Within an epoch sound is continuous, so that it is placed by its offset, not by its time. The time decides only where an
epoch begins, and where the two have drifted apart by more than DRIFT_S.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgeaudio.types import Block, Samples

DRIFT_S = 0.1  # between the sender's clock and this one, before what follows is moved
_STEP_S = 60.0  # a Block that claims to be this old, or from the future, shows that the system clock was set
_FUTURE_S = 1.0
_MAX_EPOCHS = 16  # whose detections may still come
_MAX_ANCHORS = 16  # of an epoch


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Samples `(n, channels)`, and where they begin on the film."""

    begin_s: float
    sample_rate: int
    samples: Samples
    joined: bool  # they follow what came before without a hole
    is_gap: bool  # sound is missing before them; else time was only moved

    @property
    def end_s(self) -> float:
        return self.begin_s + len(self.samples) / self.sample_rate


class TimeLine:
    """Time of one film. What it has passed, by sound or without it, does not come back."""

    def __init__(self, zero: datetime, *, is_live: bool, length_s: float | None = None) -> None:
        """`zero`: the time of the film's beginning; sound before it is not in the film."""
        self.zero = zero
        self.length_s = length_s
        self.end_s = 0.0  # what is before is decided
        self.late_s = 0.0  # of sound that came when its time had passed
        self.steps = 0  # of the system clock
        self._pending_s = 0.0  # of a step of the clock that no Block has shown yet
        self._is_live = is_live
        self._epoch: int | None = None
        self._next = 0  # offset that follows the last Block
        self._anchor = 0, 0.0  # an offset, and its time
        self._anchors: OrderedDict[int, list[tuple[float, float]]] = OrderedDict()  # by epoch

    @property
    def is_over(self) -> bool:
        return self.length_s is not None and self.end_s >= self.length_s - 1e-6

    def place(self, block: Block, now_s: float | None = None) -> Placed | None:
        """Return where a Block is; None if nothing of it is in the film.

        now_s: film time at present, of live sound.
        """
        rate = block.sample_rate
        claimed_s = (block.at - self.zero).total_seconds()
        follows = block.epoch == self._epoch and block.offset == self._next
        if now_s is not None and self._pending_s:
            expected_s = self._time_of(block.offset, rate) if follows else now_s - block.duration_s
            if abs(claimed_s - self._pending_s - expected_s) < abs(claimed_s - expected_s):  # else it is from before
                self.zero += timedelta(seconds=self._pending_s)
                claimed_s -= self._pending_s
                self.steps += 1
                self._pending_s = 0.0
        if now_s is not None and not now_s - _STEP_S < claimed_s < now_s + _FUTURE_S:
            self.zero += timedelta(seconds=claimed_s - (now_s - block.duration_s))
            claimed_s = now_s - block.duration_s
            self.steps += 1
            self._pending_s = 0.0
        is_gap = not follows
        if block.epoch != self._epoch:
            self._begin(block, claimed_s)
        begin_s = self._time_of(block.offset, rate)
        if self._is_live and abs(claimed_s - begin_s) > DRIFT_S:
            self._begin(block, claimed_s)
            begin_s, follows = claimed_s, False
        self._epoch, self._next = block.epoch, block.offset + len(block.samples)
        return self._cut(block, begin_s, follows=follows, is_gap=is_gap)

    def expect_step(self, step_s: float) -> None:
        """Note that the system clock was set by so much: Blocks that come from now on may show it."""
        self._pending_s += step_s

    def pass_to(self, until_s: float) -> None:
        """Decide that there is no sound up to then."""
        self.end_s = max(self.end_s, until_s)

    def film_s(self, epoch: int, offset_s: float) -> float | None:
        """Return the film's time of a place in an epoch; None if that is not known any more."""
        anchors = self._anchors.get(epoch)
        if not anchors:
            return None
        before = [anchor for anchor in anchors if anchor[0] <= offset_s + 1e-9]
        at_s, begin_s = before[-1] if before else anchors[0]
        return begin_s + offset_s - at_s

    def _begin(self, block: Block, begin_s: float) -> None:
        self._anchor = block.offset, begin_s
        anchors = self._anchors.setdefault(block.epoch, [])
        anchors.append((block.offset / block.sample_rate, begin_s))
        del anchors[:-_MAX_ANCHORS]
        while len(self._anchors) > _MAX_EPOCHS:
            self._anchors.popitem(last=False)

    def _time_of(self, offset: int, rate: int) -> float:
        first, begin_s = self._anchor
        return begin_s + (offset - first) / rate

    def _cut(self, block: Block, begin_s: float, *, follows: bool, is_gap: bool) -> Placed | None:
        """Return what of the Block is after what is decided, and before the film's end."""
        rate, samples = block.sample_rate, block.samples.reshape(len(block.samples), -1)
        late = min(len(samples), max(0, round((self.end_s - begin_s) * rate)))
        if begin_s + late / rate > 0:
            self.late_s += min(late / rate, self.end_s)
        end = len(samples)
        if self.length_s is not None:
            end = min(end, max(0, round((self.length_s - begin_s) * rate)))
        wanted = samples[late:end]
        begin_s += late / rate
        if len(wanted) == 0:
            if self.length_s is not None and begin_s >= self.length_s:
                self.end_s = max(self.end_s, self.length_s)
            return None
        placed = Placed(begin_s, rate, wanted, follows and not late, is_gap)
        self.end_s = max(self.end_s, placed.end_s)
        return placed
