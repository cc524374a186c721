"""The MQTT sink: items of the hub, and the agent's state, as messages for the sender.

Owns: which labels are on (from the ids of open events), the levels of an interval, and every message that the agent
publishes besides detections.
Does not know: how messages are sent (sender.py), the outbox, what commands do, threads.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Container, Iterable
from datetime import datetime
from typing import Protocol

from edgeaudio.clock import timestamp
from edgeaudio.health.levels import LevelDigest
from edgeaudio.health.report import HealthReport
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.discovery_state import announce
from edgeaudio.sinks.mqtt.entities import AgentEntities, SourceEntities
from edgeaudio.sinks.mqtt.health_payload import health_values
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Event, Level, LiveColumns, LiveScores, LiveSound, Message, SourceStatus
from edgeaudio.version import __version__

MAX_HOST = 64  # characters of a machine's name (HOST_NAME_MAX)


class Publisher(Protocol):
    """The part of `Sender` that the sink uses."""

    def put(self, message: Message, *, ahead: bool = False) -> None: ...

    def put_first(self, state: Iterable[Message]) -> None: ...

    def put_transient(self, message: Message) -> None: ...

    def put_live(self, message: Message) -> None: ...

    def forget(self, topic: str) -> None: ...

    def schedule_resend_unretained(self) -> None: ...


class MqttSink:
    """Everything that is published besides detections. Any method may be called from any thread."""

    name = "mqtt"
    accepts = frozenset({Event, Level, SourceStatus, LiveColumns, LiveScores, LiveSound})

    def __init__(
        self,
        topics: Topics,
        sender: Publisher,
        *,
        discovery_prefix: str | None,
        image_type: str | None = None,
        has_links: bool = False,
    ) -> None:
        """`discovery_prefix`: None without Home Assistant's discovery.

        `image_type`: content type of the pictures of clips that are published; None: none are. `has_links`: whether
        detections have the address of their view on the dashboard.
        """
        self._topics = topics
        self._sender = sender
        self._discovery_prefix = discovery_prefix
        self._image_type = image_type
        self._has_links = has_links
        self._lock = threading.Lock()
        self._digests: dict[str, LevelDigest] = {}  # by source
        self._transcribed: set[str] = set()  # sources
        self._open: dict[tuple[str, str], set[str]] = {}  # ids of open events, by source and label

    def handle(self, item: object) -> None:
        """Publish one item of the hub. Detections themselves go through the outbox, before they get here.

        Late items of a source that was removed are ignored: its topics have been cleared.
        """
        with self._lock:
            match item:
                case Event() if item.source in self._digests:
                    self._publish_label(item.source, item.label, on=self._follow(item))
                case Level() if item.source in self._digests:
                    if level := self._digests[item.source].add(item):
                        self._sender.put_transient(messages.level(self._topics, level))
                case SourceStatus() if item.source in self._digests:
                    transcribes = item.source in self._transcribed
                    self._sender.put(messages.status(self._topics, item, transcribes=transcribes), ahead=True)
                case LiveColumns() if item.source in self._digests:
                    self._sender.put_live(messages.live_columns(self._topics, item))
                case LiveScores() if item.source in self._digests:
                    self._sender.put_live(messages.live_scores(self._topics, item))
                case LiveSound() if item.source in self._digests:
                    self._sender.put_live(messages.live_sound(self._topics, item))

    def add_source(
        self, source: str, labels: Iterable[str], *, level_interval_s: float, transcribes: bool = False
    ) -> None:
        """Begin to publish a source: the state of each label, and a level every `level_interval_s`.

        `transcribes`: its status says so.
        """
        with self._lock:
            (self._transcribed.add if transcribes else self._transcribed.discard)(source)
            self._digests[source] = LevelDigest(level_interval_s)
            for label in labels:
                self._publish_label(source, label, on=bool(self._open.get((source, label))))

    def set_level_interval(self, source: str, level_interval_s: float) -> None:
        """Publish a source's level every `level_interval_s` from now on."""
        with self._lock:
            self._digests[source] = LevelDigest(level_interval_s)

    def remove_source(self, source: str, labels: Iterable[str]) -> None:
        """Stop publishing a source. What is retained of it is cleared by the next announcement."""
        with self._lock:
            self._digests.pop(source, None)
            self._sender.forget(self._topics.status(source))
            for label in labels:
                self._open.pop((source, label), None)
                self._sender.forget(self._topics.label(source, label))

    def announce(
        self,
        sources: Iterable[SourceEntities],
        states: Iterable[Message],
        *,
        has_temperature: bool,
        has_throttling: bool,
        memory: str | None,
        elsewhere: Container[str] = (),
    ) -> str:
        """Publish discovery and what commands may change; clear what is gone.

        `states`: of the latter, such as switches and thresholds; `memory`: what the last announcement returned, None at
        first; `elsewhere`: sources that other shards of the centre have, whose topics are left to them. Return the
        memory for the next one.
        """
        states = list(states)
        agent = AgentEntities(
            self._topics,
            __version__,
            tuple(sources),
            has_temperature,
            has_throttling,
            self._image_type,
            self._has_links,
        )
        retained = [self._topics.availability, self._topics.health, *(state.topic for state in states)]
        if self._topics.shard is not None:
            retained.append(self._topics.shard_count)
        retained += [self._topics.status(source.name) for source in agent.sources]
        announcement = announce(
            memory,
            prefix=self._discovery_prefix or "",
            agent=agent if self._discovery_prefix is not None else None,
            retained=retained,
            is_elsewhere=lambda topic: self._topics.source_of(topic) in elsewhere,
        )
        self._sender.put_first(announcement.first)
        for message in (*announcement.messages, *states):
            self._sender.put(message)
        self._sender.schedule_resend_unretained()
        return announcement.memory

    def switch_state(self, source: str, *, on: bool) -> Message:
        """Return the state of a source's switch."""
        return messages.enabled(self._topics, source, on=on)

    def threshold_state(self, source: str, label: str, value: float) -> Message:
        """Return the threshold of a label that is in force."""
        return messages.threshold(self._topics, source, label, value)

    def snooze_state(self, source: str, label: str, until: datetime | None) -> Message:
        """Return until when a label is snoozed; None: it is not."""
        return messages.snooze(self._topics, source, label, until)

    def cooldown_state(self, source: str, label: str, cooldown_s: float) -> Message:
        """Return the cooldown of a label that is in force."""
        return messages.cooldown(self._topics, source, label, cooldown_s)

    def publish(self, state: Message) -> None:
        """Publish a state of `switch_state`, `threshold_state`, `snooze_state` or `cooldown_state`."""
        self._sender.put(state)

    def publish_command_result(self, topic: str, at: datetime, error: str | None) -> None:
        """Publish the result of a command; `error`: None where it succeeded."""
        self._sender.put_transient(messages.command_result(self._topics, topic, at, error))

    def publish_health(self, report: HealthReport) -> None:
        """Publish the health report."""
        self._sender.put(messages.health(self._topics, health_values(report)), ahead=True)

    def publish_check(self, source: str) -> None:
        """Publish a message that shows whether a source's detections are denied."""
        self._sender.put(messages.check(self._topics, source))

    def _follow(self, event: Event) -> bool:
        """Note an event; True if some event of its label is open now."""
        ids = self._open.setdefault((event.source, event.label), set())
        if event.kind == "onset":
            ids.add(event.id)
        else:
            ids.discard(event.id)
        return bool(ids)

    def _publish_label(self, source: str, label: str, *, on: bool) -> None:
        self._sender.put(messages.label_state(self._topics, source, label, on=on))


def duplicate_of(report: bytes, started_at: datetime) -> str | None:
    """Return the host of another agent of this name that published this report since this one started, or None."""
    try:
        found = json.loads(report)
        host, other_started_at, at = str(found["host"]), found["started_at"], datetime.fromisoformat(found["at"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if other_started_at == timestamp(started_at) or at.tzinfo is None or at <= started_at:
        return None
    return host[:MAX_HOST]
