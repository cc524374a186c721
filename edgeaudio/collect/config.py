"""What collect is started with. Does not know: the settings and options that it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgeaudio.fleet_database.database import DatabaseUrl
from edgeaudio.sinks.mqtt.broker import MqttConfig

GROUP: Final = "edgeaudio-collect"
SESSION_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class CollectConfig:
    """All of it."""

    mqtt: MqttConfig  # its client id is the beginning of those of all connections
    base_topic: str
    database: DatabaseUrl
    group: str | None = GROUP  # of the shared subscription; None: each consumer receives everything
    consumers: int = 1
    session_expiry_s: int = SESSION_S  # for which the broker keeps what waits for a consumer that is away
    keep_months: int | None = None  # None: all
