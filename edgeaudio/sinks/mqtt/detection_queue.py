"""The outbox as a queue for the sender: which detection is next, and which topics are held back.

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
    """The part of `Outbox` that the queue uses."""

    def pending(self, limit: int, *, after: int = 0, without_topics: Sequence[str] = ()) -> list[StoredMessage]: ...

    def delete(self, seqs: Iterable[int]) -> None: ...


@dataclass(slots=True)
class _TopicHold:
    """A topic of which a message was refused."""

    refused: set[int] = field(default_factory=set)  # numbers tried after the last pause
    seen: set[int] = field(default_factory=set)  # numbers refused since one was acknowledged
    until: float = math.inf  # then one message is tried; infinity: others of the topic are still in flight
    backoff: Backoff = field(default_factory=lambda: Backoff(_HOLD_MIN_S, _HOLD_MAX_S))
    probing: bool = False  # one message is in flight to find out

    def holds(self, seq: int, now: float) -> bool:
        """True if this message of the topic is not to be sent now."""
        decides = not self.refused or seq not in self.seen  # the oldest, and then one that was not refused before
        return self.probing or now < self.until or not decides


def detection_item(stored: StoredMessage) -> Item:
    """Return a message of the outbox as an item; its topic is its family."""
    return Item(Family("detection", stored.message.topic), stored.seq, stored.message.topic)


class DetectionQueue:
    """The outbox in order, without what is held back or quarantined. Times are monotonic seconds."""

    def __init__(self, outbox: StoredDetections, quarantine: MessageQuarantine, in_flight: InFlightTable) -> None:
        self._outbox = outbox
        self._quarantine = quarantine
        self._in_flight = in_flight
        self._after = 0
        self._buffer: deque[StoredMessage] = deque()
        self._acknowledged: list[int] = []  # still in the outbox
        self._holds: dict[str, _TopicHold] = {}
        self._revisit_at = -math.inf  # when something quarantined that was skipped is due

    @property
    def refused_topics(self) -> tuple[str, ...]:
        return tuple(sorted(self._holds))

    def begin(self) -> None:
        """Begin a new connection: resend what was in flight, and try refused topics again."""
        self.delete_acknowledged()
        self._holds.clear()
        self.rewind()

    def peek(self, now: float) -> StoredMessage | None:
        """Return the message to send next, None where none may be sent now; `take` it before it is sent."""
        if now >= self._revisit_at or any(not hold.probing and now >= hold.until for hold in self._holds.values()):
            self.rewind()
            self._revisit_at = self._quarantine.next_due(now)
        if not self._buffer:
            self._fill(now)
        while self._buffer:
            stored = self._buffer[0]
            hold = self._holds.get(stored.message.topic)
            if not (hold is not None and hold.holds(stored.seq, now)) and not self._quarantine.holds(
                detection_item(stored), now
            ):
                return self._first_to_try(stored, now)
            self._buffer.popleft()
        return None

    def take(self, stored: StoredMessage) -> None:
        """Note that a message is being sent."""
        self._buffer.remove(stored)
        hold = self._holds.get(stored.message.topic)
        if hold is not None:
            hold.probing = True

    def acknowledged(self, stored: StoredMessage, now: float) -> list[Item]:
        """Note that the broker has the message; `delete_acknowledged` takes it out of the outbox.

        Return the messages of its topic that were refused for their own sake, and are quarantined from now on.
        """
        self._acknowledged.append(stored.seq)
        topic = stored.message.topic
        hold = self._holds.get(topic)
        if hold is None:
            return []
        if not hold.probing:
            self._pause(topic, hold, now)
            return []
        del self._holds[topic]
        self.rewind()
        guilty = [Item(detection_item(stored).family, number, topic) for number in sorted(hold.refused)]
        for item in guilty:
            self._quarantine.hold(item, now, first_s=_HOLD_MIN_S)
        return guilty

    def refused(self, stored: StoredMessage, now: float) -> None:
        """Note that the broker refused the message: hold it back, or its topic."""
        topic = stored.message.topic
        item = detection_item(stored)
        if item in self._quarantine.items:
            self._quarantine.hold(item, now)
            self.rewind()
            if topic not in self._holds:  # it is known to be refused, whatever its topic
                return
        hold = self._holds.setdefault(topic, _TopicHold())
        hold.seen.add(stored.seq)
        max_s = _HOLD_MAX_S
        if hold.probing:
            hold.probing = False
            hold.refused.add(stored.seq)
            if len(hold.refused) == 1 and self._has_another(stored, hold.seen):
                hold.until = now
                self.rewind()
                return
            if len(hold.refused) == 1:
                max_s = _UNDECIDED_MAX_S
        self._pause(topic, hold, now, max_s)

    def _pause(self, topic: str, hold: _TopicHold, now: float, max_s: float = _HOLD_MAX_S) -> None:
        """Hold a topic back for a while, once nothing of it is in flight."""
        if any(other.message.topic == topic for other in self._in_flight.detections):
            return
        hold.refused.clear()
        hold.until = now + hold.backoff.next_s(max_s)
        self.rewind()

    def delete_acknowledged(self) -> None:
        """Delete what the broker has from the outbox, in one transaction."""
        if self._acknowledged:
            self._outbox.delete(self._acknowledged)
            self._acknowledged.clear()

    def rewind(self) -> None:
        """Begin at the oldest message again: one that was skipped may be sent now."""
        self._after = 0
        self._buffer.clear()
        self._revisit_at = -math.inf

    def has(self, seq: int) -> bool:
        """True if the outbox still holds the message of that number."""
        return any(stored.seq == seq for stored in self._outbox.pending(1, after=seq - 1))

    def _has_another(self, stored: StoredMessage, seen: AbstractSet[int]) -> bool:
        """True if another message of the same topic, not refused before, waits near this one."""
        near = self._outbox.pending(_BATCH, after=stored.seq)
        return any(other.message.topic == stored.message.topic and other.seq not in seen for other in near)

    def _first_to_try(self, first: StoredMessage, now: float) -> StoredMessage:
        """Return the first message; where its topic is suspect, the shortest of the topic that is read already.

        Where long messages end connections, a short one shows that it is not the topic.
        """
        if not self._quarantine.is_family_suspect(detection_item(first)):
            return first
        same = [stored for stored in self._buffer if stored.message.topic == first.message.topic]
        usable = [stored for stored in same if not self._quarantine.holds(detection_item(stored), now)]
        return min(usable, key=lambda stored: len(stored.message.payload))

    def _fill(self, now: float) -> None:
        self.delete_acknowledged()  # which must not be read again
        held = [topic for topic, hold in self._holds.items() if hold.probing or now < hold.until]
        held += [family.topics for family in self._quarantine.held_families(now) if family.kind == "detection"]
        batch = self._outbox.pending(_BATCH, after=self._after, without_topics=held)
        if batch:
            self._after = batch[-1].seq
        in_flight = {stored.seq for stored in self._in_flight.detections}
        self._buffer.extend(stored for stored in batch if stored.seq not in in_flight)
