"""What to send next from the outbox, and what became of what was sent.

Owns: the place in the outbox's order, what is in flight, the pace, and the topics that the broker refuses.
Does not know: MQTT (message ids are numbers here), time (it is handed in), threads (one thread uses it).

Messages go out in the order of the outbox. A refusal keeps the message and holds its topic: nothing of that topic is
sent for a while (1 s, doubling to 60 s), then one message is tried; when that is taken, the topic goes on in order.
Other topics are not held up. A message of the same topic that was already in flight when another was refused may
still be taken, and is then ahead of it: the only way in which order can be lost, and the broker's own choice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgeaudio.publish.outbox_file import Stored

_BATCH = 64
_HOLD_MIN_S = 1.0
_HOLD_MAX_S = 60.0


class Source(Protocol):
    """The part of the outbox that is used here."""

    def pending(self, limit: int, *, after: int = 0, without_topics: Sequence[str] = ()) -> list[Stored]: ...

    def delete(self, seqs: Iterable[int]) -> None: ...


@dataclass(slots=True)
class _Hold:
    until: float
    delay_s: float
    probing: bool = False  # one message is in flight to find out


class Drain:
    """See the head of this module. Times are monotonic seconds; message ids are those of one connection."""

    def __init__(self, outbox: Source, *, rate_per_s: float, burst: int) -> None:
        self._outbox = outbox
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at = 0.0
        self._after = 0
        self._buffer: deque[Stored] = deque()
        self._in_flight: dict[int, tuple[Stored, float]] = {}
        self._taken: list[int] = []
        self._holds: dict[str, _Hold] = {}

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def refused_topics(self) -> tuple[str, ...]:
        return tuple(sorted(self._holds))

    def begin(self) -> None:
        """Begin a new connection: what was in flight will be sent again, refused topics are tried afresh."""
        self.settle()
        self._in_flight.clear()
        self._holds.clear()
        self._rewind()

    def next(self, now: float) -> Stored | None:
        """Give the message to be sent now, or None: nothing waits, or the pace forbids. `sent` must follow."""
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate_per_s)
        self._filled_at = now
        if self._tokens < 1.0:
            return None
        if any(not hold.probing and now >= hold.until for hold in self._holds.values()):
            self._rewind()
        if not self._buffer:
            self._fill(now)
        while self._buffer:
            stored = self._buffer.popleft()
            hold = self._holds.get(stored.message.topic)
            if hold is not None:
                if hold.probing or now < hold.until:
                    continue
                hold.probing = True
            self._tokens -= 1.0
            return stored
        return None

    @property
    def wait_s(self) -> float:
        """Give the time until the pace allows another message; 0: it does now."""
        return max(0.0, (1.0 - self._tokens) / self._rate_per_s)

    def sent(self, mid: int, stored: Stored, now: float) -> None:
        self._in_flight[mid] = (stored, now)

    def acknowledged(self, mid: int) -> None:
        """Note that the broker has the message; `settle` takes it out of the outbox."""
        if mid not in self._in_flight:
            return
        stored, _ = self._in_flight.pop(mid)
        self._taken.append(stored.seq)
        hold = self._holds.get(stored.message.topic)
        if hold is not None and hold.probing:
            del self._holds[stored.message.topic]
            self._rewind()

    def refused(self, mid: int, now: float) -> str | None:
        """Note that the broker would not take it: hold the topic. Gives the topic where that is news."""
        if mid not in self._in_flight:
            return None
        stored, _ = self._in_flight.pop(mid)
        return self.hold(stored, now)

    def hold(self, stored: Stored, now: float) -> str | None:
        """Keep a message that cannot be sent now, and its topic with it. Gives the topic where that is news."""
        topic = stored.message.topic
        hold = self._holds.get(topic)
        if hold is None:
            self._holds[topic] = _Hold(now + _HOLD_MIN_S, _HOLD_MIN_S)
            return topic
        if hold.probing:
            delay_s = min(_HOLD_MAX_S, hold.delay_s * 2)
            self._holds[topic] = _Hold(now + delay_s, delay_s)
        return None

    def settle(self) -> None:
        """Take what the broker has out of the outbox, in one transaction."""
        if self._taken:
            self._outbox.delete(self._taken)
            self._taken.clear()

    def overdue(self, now: float, limit_s: float) -> bool:
        """Tell whether an acknowledgement has been awaited for longer than the limit."""
        return any(now - at > limit_s for _, at in self._in_flight.values())

    def _fill(self, now: float) -> None:
        self.settle()  # what is taken must not be read again
        held = [topic for topic, hold in self._holds.items() if hold.probing or now < hold.until]
        batch = self._outbox.pending(_BATCH, after=self._after, without_topics=held)
        if batch:
            self._after = batch[-1].seq
        in_flight = {stored.seq for stored, _ in self._in_flight.values()}
        self._buffer.extend(stored for stored in batch if stored.seq not in in_flight)

    def _rewind(self) -> None:
        self._after = 0
        self._buffer.clear()
