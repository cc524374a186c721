"""What happens on a connection to the broker, and what the broker offers on it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from edgeaudio.sinks.mqtt.reason_codes import ReasonCode

MAX_PROPERTY_BYTES: Final = 16 * 1024  # of a message that is received; one with more is taken as one without any
MAX_USER_PROPERTIES: Final = 16


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a broker offers, as far as it is known."""

    protocol: Literal["5", "3.1.1"] = "5"
    retain: bool = True
    max_qos: Literal[0, 1] = 1


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker answered a publish of QoS 1 or a subscription; `refusal`: why it refused it, None: it did not.

    Where the broker offers QoS 0 only: the publish was written to the network.
    """

    packet_id: int
    refusal: ReasonCode | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message on a topic of a subscription."""

    topic: str
    payload: bytes
    retained: bool = False
    packet_id: int | None = None  # to acknowledge it by, where that is left to the receiver
    # MQTT 5 only
    content_type: str = ""
    user_properties: tuple[tuple[str, str], ...] = ()  # the first MAX_USER_PROPERTIES


MqttEvent = Acknowledged | Received
