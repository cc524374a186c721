"""What the dashboard is started with. Does not know: the settings that it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeaudio.sinks.mqtt.broker import MqttConfig


@dataclass(frozen=True, slots=True)
class DashboardConfig:
    """All of it."""

    mqtt: MqttConfig  # its client id is the beginning of those of both connections
    base_topic: str
    database: Path
    keep_s: float  # how long events are kept
