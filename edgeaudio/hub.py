"""The hub: items of capture and recognition, published to every subscription of their type.

Owns: the subscriptions, each with a bounded queue that drops the oldest, and the counts of what was dropped.
Does not know: what the items mean, who publishes and who subscribes, threads. What must not be lost goes through the
journal (outbox/) before it is published here.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable

from edgeaudio.types import Block

MAX_S = 10.0  # of Blocks, per source
MAX_BYTES = 64 * 1024 * 1024  # of all Blocks of a subscription
MAX_ITEMS = 4096  # other than Blocks
MAX_TAKEN = 64  # items at once, so that their results are published soon


class Subscription:
    """A bounded queue of items in the order of their publication. Safe for many threads publishing and one taking.

    Blocks are bounded per source by the seconds of sound waiting, and for all sources by bytes; other items by their
    number. The oldest is dropped first, and counted.
    """

    def __init__(self, name: str, *, max_s: float, max_bytes: int, max_items: int, is_paced: bool) -> None:
        self.name = name
        self._max_s = max_s
        self._max_bytes = max_bytes
        self._max_items = max_items
        self.is_paced = is_paced
        self._changed = threading.Condition()
        # by number, in the order of publication: its monotonic time, and the item. Of thousands, any is dropped at once
        self._queue: OrderedDict[int, tuple[float, object]] = OrderedDict()
        self._last = 0  # number
        self._blocks: dict[str, deque[int]] = {}  # numbers, by source
        self._others: deque[int] = deque()  # numbers of what is no Block
        self._is_woken = False
        self._is_idle = True  # all that was taken has been handled
        self._waiting_s: dict[str, float] = {}  # Blocks, by source
        self._waiting_bytes = 0  # Blocks
        self._dropped_s: dict[str, float] = {}
        self._dropped_items = 0

    def put(self, item: object) -> None:
        """Add an item; drop the oldest where the bounds are exceeded.

        A paced subscription waits for room first, at most as long as the Block lasts: what a server has buffered is
        received faster than it plays.
        """
        with self._changed:
            if isinstance(item, Block):
                if self.is_paced and not self._has_room(item):
                    self._changed.wait_for(lambda: self._has_room(item), item.duration_s)
                self._add_block(item)
            else:
                self._append(item, self._others)
                if len(self._others) > self._max_items:
                    self._drop(self._others[0])
            self._changed.notify_all()

    def take(self, timeout_s: float) -> list[object]:
        """Return what waits, oldest first; wait up to `timeout_s` for an item. What was taken before is done."""
        with self._changed:
            self._is_idle = True
            if not self._queue:
                self._changed.notify_all()  # for `wait_idle`
            self._changed.wait_for(lambda: self._queue or self._is_woken, timeout_s)
            self._is_woken = False
            taken = [self._remove(next(iter(self._queue))) for _ in range(min(MAX_TAKEN, len(self._queue)))]
            self._is_idle = not taken
            self._changed.notify_all()
            return taken

    def wake(self) -> None:
        """Make `take` return at once, with what waits."""
        with self._changed:
            self._is_woken = True
            self._changed.notify_all()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until everything published so far was taken and handled; return False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_idle and not self._queue, timeout_s)

    def count_dropped(self, block: Block) -> None:
        """Count a Block that was taken and could not be used as dropped."""
        with self._changed:
            self._count_dropped(block)

    def drop_all(self) -> None:
        """Drop what waits, and count it."""
        with self._changed:
            while self._queue:
                self._drop(next(iter(self._queue)))
            self._changed.notify_all()

    def waiting_s(self, source: str) -> float:
        """Return the seconds of a source that wait."""
        with self._changed:
            return max(0.0, self._waiting_s.get(source, 0.0))

    def dropped_s(self, source: str) -> float:
        """Return the seconds of a source that were dropped since the subscription began."""
        with self._changed:
            return self._dropped_s.get(source, 0.0)

    @property
    def dropped(self) -> int:
        """Items other than Blocks that were dropped since the subscription began."""
        return self._dropped_items

    @property
    def all_dropped_s(self) -> float:
        """Seconds of all sources that were dropped since the subscription began."""
        with self._changed:
            return sum(self._dropped_s.values())

    @property
    def lag_s(self) -> float:
        """Seconds for which the oldest item has been waiting; 0 if none waits."""
        with self._changed:
            return time.monotonic() - next(iter(self._queue.values()))[0] if self._queue else 0.0

    # --- called under the lock ---

    def _append(self, item: object, numbers: deque[int]) -> None:
        self._last += 1
        self._queue[self._last] = time.monotonic(), item
        numbers.append(self._last)

    def _add_block(self, block: Block) -> None:
        numbers = self._blocks.setdefault(block.source, deque())
        self._append(block, numbers)
        self._waiting_s[block.source] = self._waiting_s.get(block.source, 0.0) + block.duration_s
        self._waiting_bytes += block.samples.nbytes
        while numbers and self._waiting_s[block.source] > self._max_s:
            self._drop(numbers[0])
        while self._waiting_bytes > self._max_bytes:
            self._drop(min(each[0] for each in self._blocks.values() if each))

    def _drop(self, number: int) -> None:
        self._count_dropped(self._remove(number))

    def _remove(self, number: int) -> object:
        """Take an item out of the queue, the oldest of its kind."""
        _, item = self._queue.pop(number)
        if isinstance(item, Block):
            self._blocks[item.source].popleft()
            self._waiting_s[item.source] -= item.duration_s
            self._waiting_bytes -= item.samples.nbytes
        else:
            self._others.popleft()
        return item

    def _count_dropped(self, item: object) -> None:
        if isinstance(item, Block):
            self._dropped_s[item.source] = self._dropped_s.get(item.source, 0.0) + item.duration_s
        else:
            self._dropped_items += 1

    def _has_room(self, block: Block) -> bool:
        return self._waiting_s.get(block.source, 0.0) + block.duration_s <= self._max_s


class Hub:
    """The subscriptions. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accepts: dict[Subscription, frozenset[type]] = {}
        self._by_type: dict[type, tuple[Subscription, ...]] = {}

    def subscribe(
        self,
        name: str,
        accepts: Iterable[type],
        *,
        max_s: float = MAX_S,
        max_bytes: int = MAX_BYTES,
        max_items: int = MAX_ITEMS,
        is_paced: bool = False,
    ) -> Subscription:
        """Begin to queue items of exactly these types.

        `max_s`: seconds of Blocks that may wait, per source; `max_bytes`: of Blocks, for all sources; `max_items`:
        items other than Blocks that may wait. `is_paced`: publishing a Block waits for room in this queue first, at
        most as long as the Block lasts. Raises ValueError or TypeError for a `max_s` that is none.
        """
        if not max_s >= 0:
            raise ValueError(f"max_s must be 0 or more, not {max_s!r}")
        subscription = Subscription(name, max_s=max_s, max_bytes=max_bytes, max_items=max_items, is_paced=is_paced)
        with self._lock:
            self._accepts[subscription] = frozenset(accepts)
            self._index()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; what waits in it stays there. Ending it twice does nothing."""
        with self._lock:
            self._accepts.pop(subscription, None)
            self._index()

    def publish(self, item: object) -> None:
        """Put an item into every queue whose subscription accepts its type."""
        for subscription in self._by_type.get(type(item), ()):
            subscription.put(item)

    def _index(self) -> None:
        types = {each for accepts in self._accepts.values() for each in accepts}
        # replaced as a whole, so that `publish` needs no lock
        self._by_type = {
            # paced ones last: what follows from an item must not come before it to the others
            each: tuple(sorted((found for found in self._accepts if each in self._accepts[found]), key=_paced))
            for each in types
        }


def _paced(subscription: Subscription) -> bool:
    return subscription.is_paced
