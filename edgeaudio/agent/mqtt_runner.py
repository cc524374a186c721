"""The MQTT sink at work: its subscription, its sender, and the messages that come in.

Owns: the parts of MQTT that belong together, and the order in which they stop.
Does not know: sources, models, threads (the agent makes one for `run` and one for `sender.run`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from edgeaudio.health.broker import BrokerState, BrokerStatus
from edgeaudio.health.watchdog import Part
from edgeaudio.hub import Hub
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.settings import Settings
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.homeassistant import ONLINE, birth_topic
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.sinks.mqtt.sink import MqttSink, duplicate_of
from edgeaudio.types import Event, Message
from edgeaudio.wiring import birth_filters, image_type, mqtt_config, topics_of

log = logging.getLogger(__name__)

TAKE_S = 1.0
SINK_STALL_TIMEOUT_S = 60.0
SENDER_STALL_TIMEOUT_S = 90.0  # connecting may wait for a name server and for two answers
_DRAIN_STEP_S = 0.02


class MqttRunner:
    """MQTT sink and sender of an agent."""

    def __init__(
        self,
        settings: Settings,
        config: MqttConfig | None,
        outbox: Outbox,
        hub: Hub,
        started_at: datetime,
        *,
        on_command: Callable[[str, bytes], None],
        on_status: Callable[[BrokerStatus], None],
    ) -> None:
        """`config`: None: the settings' own. `on_command` is called with topic and payload, on the sender's thread."""
        mqtt = settings.mqtt
        self.topics = topics_of(settings)
        self._dashboard_url = settings.dashboard.url
        self._birth_topic = birth_topic(mqtt.discovery_prefix) if mqtt.discovery else None
        self._on_command = on_command
        self._outbox = outbox
        self._stop = threading.Event()
        self.sender = Sender(
            config or mqtt_config(settings),
            outbox,
            self.topics,
            stop=self._stop,
            listen_to=birth_filters(mqtt),
            on_message=self._on_message,
            on_status=on_status,
            expiry_s=settings.outbox.expiry_s,
            duplicate_of=lambda report: duplicate_of(report, started_at),
            discovery_prefix=mqtt.discovery_prefix if mqtt.discovery else None,
        )
        self.sink = MqttSink(
            self.topics,
            self.sender,
            discovery_prefix=mqtt.discovery_prefix if mqtt.discovery else None,
            image_type=image_type(settings),
            has_links=settings.dashboard.url is not None,
        )
        self._subscription = hub.subscribe(self.sink.name, self.sink.accepts)
        self._last_moved_s = time.monotonic()

    def encode(self, event: Event, seq_epoch: str, seq: int) -> Message:
        """Return the message of a detection, for the journal."""
        url = self._dashboard_url
        return messages.detection(self.topics, event, seq_epoch=seq_epoch, seq=seq, dashboard_url=url)

    def run(self) -> None:
        """Hand the sink what the hub publishes, until `stop`. An exception of the sink passes: the agent must end."""
        while not self._stop.is_set():
            self._last_moved_s = time.monotonic()
            for item in self._subscription.take(TAKE_S):
                self.sink.handle(item)

    def parts(self) -> list[Part]:
        """Return both threads, for the watchdog."""
        return [
            Part("the sender", self.sender.last_progress, SENDER_STALL_TIMEOUT_S),
            Part("the MQTT sink", self._last_moved_s, SINK_STALL_TIMEOUT_S),
        ]

    def wait_handled(self, timeout_s: float) -> None:
        """Wait until the sink has handled what was published so far."""
        self._subscription.wait_idle(timeout_s)

    def drain(self, timeout_s: float) -> None:
        """Wait, while connected, until the broker has every detection and all state."""
        deadline_s = time.monotonic() + timeout_s
        while (
            self.sender.status.state is BrokerState.CONNECTED
            and (self._outbox.stats().depth or self.sender.has_unsent_state)
            and time.monotonic() < deadline_s
        ):
            time.sleep(_DRAIN_STEP_S)

    def stop(self) -> None:
        """Let both threads end soon."""
        self._stop.set()
        self.sender.wake()
        self._subscription.wake()

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic != self._birth_topic:
            self._on_command(topic, payload)
        elif payload == ONLINE:
            self.sender.resend()
