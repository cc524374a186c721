"""A running sender, and detections for it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Self

from support.waiting import wait_until

from edgeaudio.health.broker import BrokerState, BrokerStatus
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Message

TOPICS = Topics("edgeaudio", "dock")
DETECTION = TOPICS.detection("porch")


def detections(first: int, count: int, topic: str = DETECTION) -> list[Message]:
    return [Message(topic, b"%d" % number, qos=1) for number in range(first, first + count)]


def payloads(outbox: Outbox, limit: int = 100_000) -> list[int]:
    """The numbers of the detections that wait in an outbox."""
    return [int(stored.message.payload) for stored in outbox.pending(limit)]


class RunningSender:
    """A sender on a thread of its own, and the outbox that it sends from."""

    def __init__(self, config: MqttConfig, path: Path, *, topics: Topics = TOPICS, **options: Any) -> None:
        self.outbox = Outbox(path / "outbox.db")
        self.stop = threading.Event()
        self.statuses: list[BrokerStatus] = []
        self.commands: list[tuple[str, bytes]] = []
        self.sender = Sender(
            config,
            self.outbox,
            topics,
            stop=self.stop,
            on_status=self.statuses.append,
            on_message=lambda topic, payload: self.commands.append((topic, payload)),
            **options,
        )
        self._thread = threading.Thread(target=self.sender.run)

    def wait_connected(self) -> None:
        wait_until(lambda: self.sender.status.state is BrokerState.CONNECTED, what="connected")

    def wait_told(self) -> None:
        """Wait until the broker has acknowledged everything."""
        wait_until(lambda: self.sender.settled, what="all told")

    def wait_empty(self, timeout_s: float = 15.0) -> None:
        wait_until(lambda: self.outbox.stats().depth == 0, timeout_s, "the outbox is drained")

    def end(self) -> None:
        self.stop.set()
        self.sender.wake()
        if self._thread.ident is not None:
            self._thread.join(10)
            assert not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self.outbox.close()
