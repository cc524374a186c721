"""State that is told to the broker besides detections: of each topic only the newest value counts.

Owns: the newest message of each topic, which of them the broker does not have yet, and a short queue of messages that
are only worth sending now (levels).
Does not know: MQTT, or what the messages mean. Any thread may put messages in; one thread takes them out.
"""

from __future__ import annotations

import threading
from collections import deque

from edgeaudio.recognise.types import Message

_PASSING = 256
_REFUSED_RETRY_S = 60.0


class Latest:
    """See the head of this module."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: dict[str, Message] = {}
        self._due: dict[str, float] = {}  # topic to monotonic time; later than now only after a refusal
        self._passing: deque[Message] = deque(maxlen=_PASSING)
        self._in_flight: dict[int, tuple[Message, float]] = {}

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def refused_topics(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(topic for topic, due_at in self._due.items() if due_at > 0.0))

    def put(self, message: Message) -> None:
        """Have this sent as soon as possible, in place of an older one of its topic, and after each reconnection.

        An empty retained message clears the topic on the broker, and is forgotten when the broker has it.
        """
        with self._lock:
            self._messages[message.topic] = message
            self._due[message.topic] = 0.0

    def forget(self, topic: str) -> None:
        """Do not send this topic's message again."""
        with self._lock:
            self._messages.pop(topic, None)
            self._due.pop(topic, None)

    def pass_on(self, message: Message) -> None:
        """Have this sent if that can be done now; the oldest of too many give way."""
        with self._lock:
            self._passing.append(message)

    def drop_passing(self) -> None:
        """Drop what was only worth sending at once: there is no connection."""
        with self._lock:
            self._passing.clear()

    def resend(self, *, retained: bool = True) -> None:
        """Have every message sent again, or only those that the broker does not retain."""
        with self._lock:
            self._due |= {topic: 0.0 for topic, message in self._messages.items() if retained or not message.retain}

    def begin(self) -> None:
        """Begin a new connection: everything is sent again, in the order in which the topics were first put."""
        self._in_flight.clear()
        self.drop_passing()
        self.resend()

    def next(self, now: float) -> Message | None:
        """Take the message to be sent now, if any."""
        with self._lock:
            for topic, due_at in self._due.items():
                if now >= due_at:
                    del self._due[topic]
                    return self._messages[topic]
            return self._passing.popleft() if self._passing else None

    def sent(self, mid: int, message: Message, now: float) -> None:
        """Note that a message is on its way; one without acknowledgement counts as told."""
        if message.qos:
            self._in_flight[mid] = (message, now)

    def acknowledged(self, mid: int) -> None:
        found = self._in_flight.pop(mid, None)
        if found is not None and _clears(found[0]):
            self._forget_if_same(found[0])

    def refused(self, mid: int, now: float) -> None:
        """Note that the broker would not take it: try again in a minute. What is not ours to clear is let be."""
        found = self._in_flight.pop(mid, None)
        if found is None:
            return
        message, _ = found
        if _clears(message):
            self._forget_if_same(message)
            return
        with self._lock:
            if self._messages.get(message.topic) is message:
                self._due[message.topic] = now + _REFUSED_RETRY_S

    def overdue(self, now: float, limit_s: float) -> bool:
        """Tell whether an acknowledgement has been awaited for longer than the limit."""
        return any(now - at > limit_s for _, at in self._in_flight.values())

    def _forget_if_same(self, message: Message) -> None:
        with self._lock:
            if self._messages.get(message.topic) is message:
                del self._messages[message.topic]
                self._due.pop(message.topic, None)


def _clears(message: Message) -> bool:
    return message.retain and not message.payload
