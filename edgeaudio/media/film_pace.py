"""When packets of a film are sent: each as long after its time as any other. Pure: times are handed in.

Owns: the order of packets, and when each is due. Does not know: where they come from, what is in them.

Sound comes out of its encoder in lumps, and later than its picture. Receivers that know no better (GStreamer's, without
names in RTCP) put both streams together by when their packets arrive, and would be wrong by that: by 45 ms at 15
pictures a second. So packets wait here, for a fifth of a second or for the latest of them, at most half a second.
"""

from __future__ import annotations

import heapq
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
WAIT_S: Final = 0.2
MOST_WAIT_S: Final = 0.5


class Pace(Generic[Item]):
    """Packets that wait, each with its time in the film."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Item]] = []  # a heap; the number keeps the order of equal times
        self._count = 0
        self._base_s: float | None = None  # what a time of the film is late by when it is sent

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, film_s: float, item: Item, now_s: float) -> None:
        """Add a packet that came now; one that is late makes all later ones wait as long as it had to."""
        late_s = now_s - film_s
        if self._base_s is None:
            self._base_s = late_s + WAIT_S
        # a film that runs ahead of the clock is sent as it comes
        self._base_s = min(max(self._base_s, late_s), late_s + MOST_WAIT_S)
        heapq.heappush(self._waiting, (film_s, self._count, item))
        self._count += 1

    def wait_s(self, now_s: float) -> float | None:
        """Return for how long nothing is due; None if nothing waits."""
        if not self._waiting or self._base_s is None:
            return None
        return max(0.0, self._waiting[0][0] + self._base_s - now_s)

    def next_due(self, now_s: float) -> Item | None:
        """Take the packet that is due longest; None if none is."""
        return self.take() if self.wait_s(now_s) == 0.0 else None

    def take(self) -> Item | None:
        """Take the first packet, due or not."""
        return heapq.heappop(self._waiting)[2] if self._waiting else None
