"""Retained and best-effort messages: the newest of each topic, resent after a reconnect.

Owns: the newest message per topic, which of them the broker has acknowledged, their order (health and states of sources
before lists of entities), and two short queues of messages that are worth sending only while connected: levels, and
those of a live view, which go when nothing else waits.
Does not know: MQTT, the pace, or what the messages mean. Any thread may put messages in; one thread takes them out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain
from math import inf

from edgeaudio.sinks.mqtt.in_flight import InFlightTable
from edgeaudio.types import Message

_TRANSIENT = 256
_LIVE = 512  # columns and sound that four sources have in a segment of HLS, 0.9 MB
_REFUSED_RETRY_S = 60.0


class StateCache:
    """Newest message per topic, and which of them the broker has not acknowledged. Times are monotonic seconds."""

    def __init__(self, in_flight: InFlightTable) -> None:
        self._in_flight = in_flight
        self._lock = threading.Lock()
        self._first: deque[Message] = deque()
        self._messages: dict[str, Message] = {}
        self._due: dict[str, float] = {}  # topic to time; later than now only after a refusal
        self._ahead: dict[str, None] = {}  # topics that go before the others
        self._transient: deque[Message] = deque(maxlen=_TRANSIENT)
        self._live: deque[Message] = deque(maxlen=_LIVE)
        self._acknowledged: dict[str, Message] = {}  # by topic; as far as is known the broker has them

    @property
    def refused_topics(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(topic for topic, due_at in self._due.items() if due_at > 0.0))

    @property
    def has_unsent(self) -> bool:
        """True if a newest message was neither sent nor refused."""
        with self._lock:
            return bool(self._first) or any(due_at == 0.0 for due_at in self._due.values())

    @property
    def has_live(self) -> bool:
        """True if a live message waits."""
        return bool(self._live)

    def put(self, message: Message, *, ahead: bool = False) -> None:
        """Queue a message in place of an older one of its topic, to be sent now and after each reconnection.

        `ahead`: its topic goes before those that were put without it, of which an agent may have hundreds.
        An empty retained message clears the topic on the broker, and is forgotten once it is acknowledged.
        """
        with self._lock:
            self._messages[message.topic] = message
            self._due[message.topic] = 0.0
            if ahead:
                self._ahead[message.topic] = None
            self._acknowledged.pop(message.topic, None)

    def put_first(self, messages: Iterable[Message]) -> None:
        """Queue messages of QoS 1 before all others, each to be sent once the one before it is answered.

        One that may not be sent for a while delays those behind it, and nothing else.
        """
        with self._lock:
            self._first.extend(messages)

    def forget(self, topic: str) -> None:
        """Remove this topic's message."""
        with self._lock:
            self._messages.pop(topic, None)
            self._due.pop(topic, None)
            self._ahead.pop(topic, None)
            self._acknowledged.pop(topic, None)

    def put_transient(self, message: Message) -> None:
        """Queue a message that is worth sending only while connected; drops the oldest beyond 256."""
        with self._lock:
            self._transient.append(message)

    def put_live(self, message: Message) -> None:
        """Queue a message for `take_live`; drops the oldest beyond 512."""
        with self._lock:
            self._live.append(message)

    def schedule_resend(self, *, unretained_only: bool = False) -> None:
        """Mark every message (or only unretained ones) as due."""
        with self._lock:
            self._due |= {
                topic: 0.0 for topic, message in self._messages.items() if not (unretained_only and message.retain)
            }

    def schedule_resend_of(self, is_meant: Callable[[str], bool]) -> None:
        """Mark the messages of the topics for which `is_meant` is true as due."""
        with self._lock:
            self._due |= {topic: 0.0 for topic in self._messages if is_meant(topic)}

    def begin(self, *, remembered: bool) -> None:
        """Begin a new connection; `remembered`: the broker kept the session, so what it acknowledged is not resent."""
        with self._lock:
            if not remembered:
                self._acknowledged.clear()
            self._transient.clear()
            self._live.clear()
            self._due = {
                topic: 0.0 for topic, message in self._messages.items() if self._acknowledged.get(topic) != message
            }

    def peek(self, now: float, may_send: Callable[[str], bool]) -> Message | None:
        """Return the message to send next, of a topic that may be sent, or None; `take` it before it is sent."""
        in_flight = self._in_flight.state_topics
        with self._lock:
            if self._first and self._first[0].topic in in_flight:
                return None
            if self._first and may_send(self._first[0].topic):
                return self._first[0]
            for topic in chain(self._ahead, self._due):
                if now >= self._due.get(topic, inf) and topic not in in_flight and may_send(topic):
                    return self._messages[topic]
            return next((message for message in self._transient if may_send(message.topic)), None)

    def take_live(self) -> Message | None:
        """Return the oldest live message, which is being sent; None: none waits."""
        with self._lock:
            return self._live.popleft() if self._live else None

    def take(self, message: Message) -> None:
        """Note that a message is being sent."""
        if not (self._first and self._first[0] is message):  # which stays until it is acknowledged
            self.skip(message)

    def skip(self, message: Message) -> None:
        """Do not send this message; a newer one of its topic is sent, and this one on the next connection."""
        with self._lock:
            if self._pop_first(message):
                return
            if self._messages.get(message.topic) is message:
                self._due.pop(message.topic, None)
            elif message in self._transient:
                self._transient.remove(message)

    def acknowledged(self, message: Message) -> None:
        """Note that the broker has the message."""
        with self._lock:
            if self._pop_first(message):
                return
            if _clears(message):
                self._forget_if_same(message)
            elif message.topic in self._messages:
                self._acknowledged[message.topic] = message

    def refused(self, message: Message, now: float) -> None:
        """Note that the broker refused the message: retry in a minute, unless it clears a topic, which is forgotten."""
        with self._lock:
            if self._pop_first(message):
                return
            if _clears(message):
                self._forget_if_same(message)
            elif self._messages.get(message.topic) is message:
                self._due[message.topic] = now + _REFUSED_RETRY_S

    def _pop_first(self, message: Message) -> bool:
        """Take the message out of those that go first; True if it was the next of them."""
        is_first = bool(self._first) and self._first[0] is message
        if is_first:
            self._first.popleft()
        return is_first

    def _forget_if_same(self, message: Message) -> None:
        if self._messages.get(message.topic) is message:
            del self._messages[message.topic]
            self._due.pop(message.topic, None)
            self._ahead.pop(message.topic, None)
            self._acknowledged.pop(message.topic, None)


def _clears(message: Message) -> bool:
    return message.retain and not message.payload
