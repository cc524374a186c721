"""Live columns, scores and sound from the broker, for the sources that somebody watches or listens to.

Owns: that there is a connection while there is a viewer, and the leases of all viewers.
Does not know: what the packets hold (columns.py, sound.py, wire/payloads.py), where they go (viewers.py).

A lease is short and renewed: what ends it is that it is not. It is not taken back, for that would end it for whoever
else watches the source (docs/mqtt.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from edgeaudio.dashboard.columns import Columns, parse_columns
from edgeaudio.dashboard.sound import Sound, parse_sound
from edgeaudio.dashboard.viewers import Viewers, Watched
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.events import Acknowledged, Received
from edgeaudio.types import Message
from edgeaudio.wire.connection_thread import IDLE_S, ConnectionThread
from edgeaudio.wire.payload_fields import WireError
from edgeaudio.wire.payloads import LeaseAnswer, Scores, Value, parse

LEASE_S: Final = 15
RENEW_S: Final = 5.0
_STEP_S: Final = 0.1  # until a new viewer is noticed

Refuse: TypeAlias = Callable[[Received, WireError], None]


def live_filters(base: str, watched: Watched) -> tuple[str, ...]:
    """Return the topics of one source that is watched or listened to."""
    device, source, part = watched
    live, command = f"{base}/{device}/{source}/live", f"{base}/{device}/command"
    if part == "sound":
        return f"{live}/audio", command
    return live, f"{base}/{device}/{source}/scores", command


def lease_topic(base: str, watched: Watched) -> str:
    """Return the topic by which a source is leased."""
    kind = "live/audio" if watched.part == "sound" else "live"
    return f"{base}/{watched.device}/{watched.source}/{kind}/set"


class LiveFeed(ConnectionThread):
    """The thread. `refuse` is called with each message that breaks the contract."""

    def __init__(
        self, config: MqttConfig, base: str, viewers: Viewers, refuse: Refuse, *, stop: threading.Event
    ) -> None:
        super().__init__("live", config, stop=stop)
        self._base = base
        self._viewers = viewers
        self._refuse = refuse

    def _wait_for_use(self) -> bool:
        return self._viewers.is_anybody.wait(IDLE_S)

    def _serve(self, connection: MqttConnection) -> None:
        """Lease and receive until nobody watches."""
        leases = _Leases(self._base, self._viewers, connection)
        for watched in self._viewers.watched():
            self._viewers.report(watched, "")  # that the broker was away
        while not self._stop.is_set() and self._viewers.is_anybody.is_set():
            leases.renew(time.monotonic())
            for event in connection.poll(_STEP_S):
                if isinstance(event, Acknowledged):
                    leases.acknowledged(event)
                else:
                    self._take(event)

    def _disconnected(self, error: BrokerError) -> None:
        for watched in self._viewers.watched():
            self._viewers.report(watched, str(error))

    def _ended(self) -> None:
        for watched in self._viewers.watched():
            self._viewers.report(watched, "the dashboard stops")

    def _take(self, message: Received) -> None:
        value: Columns | Sound | Value | None
        what = self._base, message.topic, message.payload
        try:
            value = parse_columns(*what) or parse_sound(*what) or parse(*what)
        except WireError as error:
            self._refuse(message, error)
            return
        if isinstance(value, Columns | Scores | Sound) and not message.retained:
            self._viewers.hand_out(value)
        elif isinstance(value, LeaseAnswer):
            wish = f"let {value.source} be heard" if value.is_sound else f"show {value.source}"
            refusal = f"{value.device} refuses to {wish}: {value.error}" if value.error else ""
            self._viewers.report(Watched(value.device, value.source, "sound" if value.is_sound else "picture"), refusal)


class _Leases:
    """Subscriptions and leases on one connection."""

    def __init__(self, base: str, viewers: Viewers, connection: MqttConnection) -> None:
        self._base = base
        self._viewers = viewers
        self._connection = connection
        self._subscribed: set[str] = set()
        self._due_s: dict[Watched, float] = {}  # monotonic
        self._awaited: dict[int, tuple[Watched, str]] = {}  # with the topic, by packet identifier

    def renew(self, now_s: float) -> None:
        """Subscribe to what is newly watched, and renew the leases that are due."""
        watched = self._viewers.watched()
        self._due_s = {each: self._due_s.get(each, now_s) for each in watched}
        for each in watched:
            for topic in live_filters(self._base, each):
                if topic not in self._subscribed:
                    self._subscribed.add(topic)
                    self._awaited[self._connection.subscribe(topic, qos=0)] = each, topic
            if now_s >= self._due_s[each]:
                self._due_s[each] = now_s + RENEW_S
                topic = lease_topic(self._base, each)
                packet_id = self._connection.publish(Message(topic, str(LEASE_S).encode(), qos=1))
                self._awaited[packet_id] = each, topic

    def acknowledged(self, answer: Acknowledged) -> None:
        watched, topic = self._awaited.pop(answer.packet_id, (None, ""))
        if watched is not None and answer.refusal is not None:
            words = (
                f"the broker denies {topic}: {answer.refusal.name}; allow it in its access rules (docs/dashboard.md)"
            )
            self._viewers.report(watched, words)
