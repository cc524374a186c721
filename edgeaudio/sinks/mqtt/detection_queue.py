"""Which message of the outbox is next, and what became of those that were sent.

Owns: the place in the outbox's order, and the topics that the broker refuses.
Does not know: MQTT, the pace, what ends connections (quarantine.py), threads (one thread uses it).

Messages go out in the order of the outbox. A refusal keeps the message and holds its topic: nothing of it is sent for a
while (1 s, doubling to 60 s), then one message is tried, and the topic goes on in order when it is taken. Where that is
refused, another message of the topic is tried: if it is taken, it was not the topic, and the first is quarantined by
itself. Other topics are not held up. Order is lost in two ways only: a message that was in flight when another of its
topic was refused may still be taken, and what is quarantined is overtaken by what is not.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from edgeaudio.backoff import Backoff
from edgeaudio.sinks.mqtt.in_flight import InFlightTable
from edgeaudio.sinks.mqtt.quarantine import Family, Item, MessageQuarantine
from edgeaudio.types import StoredMessage

_BATCH = 64
_HOLD_MIN_S = 1.0
_HOLD_MAX_S = 60.0
_UNDECIDED_MAX_S = 8.0  # where no other message is there to show whether it is the topic


class StoredDetections(Protocol):
    """The outbox, as far as it is emptied here."""

    def pending(self, limit: int, *, after: int = 0, without_topics: Sequence[str] = ()) -> list[StoredMessage]: ...

    def delete(self, seqs: Iterable[int]) -> None: ...


@dataclass(slots=True)
class _Hold:
    """A topic of which a message was refused."""

    refused: set[int] = field(default_factory=set)  # numbers of what was tried after the last pause
    seen: set[int] = field(default_factory=set)  # numbers refused since one was taken
    until: float = math.inf  # then one message is tried; infinity: others of the topic are still in flight
    backoff: Backoff = field(default_factory=lambda: Backoff(_HOLD_MIN_S, _HOLD_MAX_S))
    probing: bool = False  # one message is in flight to find out

    def keeps(self, seq: int, now: float) -> bool:
        """True if that message of the topic is not to be sent now."""
        decides = not self.refused or seq not in self.seen  # the oldest, and then one that was not refused before
        return self.probing or now < self.until or not decides


def detection_item(stored: StoredMessage) -> Item:
    """Name a message of the outbox for the in-flight table and the quarantine; its topic is its family."""
    return Item(Family("detection", stored.message.topic), stored.seq, stored.message.topic)


class DetectionQueue:
    """The outbox in order, without what is refused or quarantined just now. Times are monotonic seconds."""

    def __init__(self, outbox: StoredDetections, quarantine: MessageQuarantine, in_flight: InFlightTable) -> None:
        self._outbox = outbox
        self._quarantine = quarantine
        self._in_flight = in_flight
        self._after = 0
        self._buffer: deque[StoredMessage] = deque()
        self._taken: list[int] = []
        self._holds: dict[str, _Hold] = {}
        self._revisit_at = -math.inf  # when something quarantined, passed over before, is due

    @property
    def refused_topics(self) -> tuple[str, ...]:
        return tuple(sorted(self._holds))

    def begin(self) -> None:
        """Begin a new connection: what was in flight will be sent again, refused topics are tried afresh."""
        self.settle()
        self._holds.clear()
        self._rewind()

    def peek(self, now: float) -> StoredMessage | None:
        """Return the message to be sent next, None where nothing may be sent now; `take` before it is sent."""
        if now >= self._revisit_at or any(not hold.probing and now >= hold.until for hold in self._holds.values()):
            self._rewind()
            self._revisit_at = self._quarantine.next_due(now)
        if not self._buffer:
            self._fill(now)
        while self._buffer:
            stored = self._buffer[0]
            hold = self._holds.get(stored.message.topic)
            if not (hold is not None and hold.keeps(stored.seq, now)) and not self._quarantine.holds(
                detection_item(stored), now
            ):
                return self._instead_of(stored, now)
            self._buffer.popleft()
        return None

    def take(self, stored: StoredMessage) -> None:
        """Note that a message is on its way."""
        self._buffer.remove(stored)
        hold = self._holds.get(stored.message.topic)
        if hold is not None:
            hold.probing = True

    def acknowledged(self, stored: StoredMessage, now: float) -> list[Item]:
        """Note that the broker has the message; `settle` takes it out of the outbox.

        Gives the messages of its topic that were refused for their own sake, and are quarantined from now on.
        """
        self._taken.append(stored.seq)
        topic = stored.message.topic
        hold = self._holds.get(topic)
        if hold is None:
            return []
        if not hold.probing:
            self._pause(topic, hold, now)
            return []
        del self._holds[topic]
        self._rewind()
        guilty = [Item(detection_item(stored).family, number, topic) for number in sorted(hold.refused)]
        for item in guilty:
            self._quarantine.hold(item, now, first_s=_HOLD_MIN_S)
        return guilty

    def refused(self, stored: StoredMessage, now: float) -> None:
        """Note that the broker would not take it: hold it, or its topic."""
        topic = stored.message.topic
        item = detection_item(stored)
        if item in self._quarantine.items:
            self._quarantine.hold(item, now)
            self._rewind()
            if topic not in self._holds:  # it is known to be refused, and says nothing of its topic
                return
        hold = self._holds.setdefault(topic, _Hold())
        hold.seen.add(stored.seq)
        max_s = _HOLD_MAX_S
        if hold.probing:
            hold.probing = False
            hold.refused.add(stored.seq)
            if len(hold.refused) == 1 and self._has_another(stored, hold.seen):
                hold.until = now
                self._rewind()
                return
            if len(hold.refused) == 1:
                max_s = _UNDECIDED_MAX_S
        self._pause(topic, hold, now, max_s)

    def _pause(self, topic: str, hold: _Hold, now: float, max_s: float = _HOLD_MAX_S) -> None:
        """Send nothing of a topic for a while, from when nothing of it is in flight."""
        if any(other.message.topic == topic for other in self._in_flight.detections):
            return
        hold.refused.clear()
        hold.until = now + hold.backoff.next_s(max_s)
        self._rewind()

    def settle(self) -> None:
        """Take what the broker has out of the outbox, in one transaction."""
        if self._taken:
            self._outbox.delete(self._taken)
            self._taken.clear()

    def look_again(self) -> None:
        """Begin at the oldest message again: something that was passed over may be sent now."""
        self._rewind()

    def is_there(self, seq: int) -> bool:
        """True if the outbox still holds that message."""
        return any(stored.seq == seq for stored in self._outbox.pending(1, after=seq - 1))

    def _has_another(self, stored: StoredMessage, seen: AbstractSet[int]) -> bool:
        """True if another message of the same topic, not refused before, waits near that one."""
        near = self._outbox.pending(_BATCH, after=stored.seq)
        return any(other.message.topic == stored.message.topic and other.seq not in seen for other in near)

    def _instead_of(self, first: StoredMessage, now: float) -> StoredMessage:
        """Return the message that decides for its topic where that is in doubt: the shortest at hand, else the first.

        Where long messages are what ends connections, a short one shows that it is not the topic.
        """
        if not self._quarantine.doubts(detection_item(first)):
            return first
        same = [stored for stored in self._buffer if stored.message.topic == first.message.topic]
        usable = [stored for stored in same if not self._quarantine.holds(detection_item(stored), now)]
        return min(usable, key=lambda stored: len(stored.message.payload))

    def _fill(self, now: float) -> None:
        self.settle()  # what is taken must not be read again
        held = [topic for topic, hold in self._holds.items() if hold.probing or now < hold.until]
        held += [family.topics for family in self._quarantine.held_families(now) if family.kind == "detection"]
        batch = self._outbox.pending(_BATCH, after=self._after, without_topics=held)
        if batch:
            self._after = batch[-1].seq
        in_flight = {stored.seq for stored in self._in_flight.detections}
        self._buffer.extend(stored for stored in batch if stored.seq not in in_flight)

    def _rewind(self) -> None:
        self._after = 0
        self._buffer.clear()
        self._revisit_at = -math.inf
