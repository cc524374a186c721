"""The hand-over from the readers' threads to the recogniser's: bounded, the oldest goes first.

Owns: the waiting Blocks, and the count of seconds that were dropped because nobody took them in time.
Does not know: what Blocks are for, and who the threads are.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from edgeaudio.types import Block

MAX_WAITING_S = 10.0  # of each source
MAX_TAKEN = 64  # blocks at once, so that what they bring is committed soon


@dataclass(frozen=True, slots=True)
class Ended:
    """A source's connection is over, in its place among the source's Blocks."""

    source: str
    complete: bool = False  # it was a recording, and this is its end
    duration_s: float = 0.0


class Backlog:
    """Blocks of all sources in the order of their arrival. Safe for many putting threads and one taking."""

    def __init__(self, max_waiting_s: float = MAX_WAITING_S) -> None:
        self._max_waiting_s = max_waiting_s
        self._changed = threading.Condition()
        self._items: deque[Block | Ended] = deque()
        self._woken = False
        self._waiting_s: dict[str, float] = {}
        self._dropped_s: dict[str, float] = {}

    def put(self, block: Block) -> None:
        """Add a block; where its source has too much waiting already, its oldest blocks are dropped.

        Before that, room is waited for as long as the block lasts: what a server had in store comes faster than that.
        """
        with self._changed:
            if self._waiting_s.get(block.source, 0.0) + block.duration_s > self._max_waiting_s:
                self._changed.wait_for(lambda: self._has_room(block), block.duration_s)
            self._items.append(block)
            waiting_s = self._waiting_s.get(block.source, 0.0) + block.duration_s
            while waiting_s > self._max_waiting_s:
                oldest = next(item for item in self._items if isinstance(item, Block) and item.source == block.source)
                self._items.remove(oldest)
                waiting_s -= oldest.duration_s
                self._dropped_s[block.source] = self._dropped_s.get(block.source, 0.0) + oldest.duration_s
            self._waiting_s[block.source] = waiting_s
            self._changed.notify_all()

    def count_dropped(self, block: Block) -> None:
        """Count a block that was taken, and could not be used, as dropped."""
        with self._changed:
            self._dropped_s[block.source] = self._dropped_s.get(block.source, 0.0) + block.duration_s

    def end(self, source: str, *, complete: bool = False) -> None:
        """Mark the end of a source's connection; `complete`: it was a recording that has been heard to its end."""
        with self._changed:
            self._items.append(Ended(source, complete))
            self._changed.notify_all()

    def take(self, timeout_s: float) -> list[Block | Ended]:
        """What waits, oldest first; waits for one at most that long."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._woken, timeout_s)
            self._woken = False
            taken = [self._items.popleft() for _ in range(min(MAX_TAKEN, len(self._items)))]
            for item in taken:
                self._waiting_s[item.source] = self._waiting_s.get(item.source, 0.0) - item.duration_s
            self._changed.notify_all()
            return taken

    def wake(self) -> None:
        """Have `take` return at once, with what there is."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def waiting_s(self, source: str) -> float:
        """Seconds of that source that nobody has taken yet."""
        with self._changed:
            return max(0.0, self._waiting_s.get(source, 0.0))

    def dropped_s(self, source: str) -> float:
        """Seconds of that source that were dropped since the start."""
        with self._changed:
            return self._dropped_s.get(source, 0.0)

    def _has_room(self, block: Block) -> bool:
        return self._waiting_s.get(block.source, 0.0) + block.duration_s <= self._max_waiting_s
