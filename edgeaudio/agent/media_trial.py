"""The connection for clips and pictures, tried without one, for `edgeaudio check`.

Owns: what is tried, for how long, and what that leaves unproven. Does not know: clips, how results are printed.

With MQTT 5 a broker says whether it denies `<source>/clip`, so an empty message of kind `check` is published there.
None goes to `<source>/image`: Home Assistant shows whatever comes there. Over 3.1.1 a denied message is acknowledged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from contextlib import closing
from typing import Final

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.events import Acknowledged
from edgeaudio.sinks.mqtt.media_messages import MediaKind, check
from edgeaudio.sinks.mqtt.media_sink import EXPIRY_S, media_config
from edgeaudio.sinks.mqtt.reason_codes import ReasonCode
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Message

ANSWER_S: Final = 5.0  # for the broker to answer a message
_STEP_S: Final = 0.05


def try_media(
    config: MqttConfig, topics: Topics, sources: Iterable[str], kinds: Collection[MediaKind], stop: threading.Event
) -> tuple[list[str], str]:
    """Return what is wrong, a line each, and what works where nothing is.

    `config`: of the connection for everything else; `kinds`: what is published of a clip.
    """
    config = media_config(config)
    about = f"connection {config.client_id}"
    unproven = [kind for kind in ("clip", "image") if kind in kinds]
    faults: list[str] = []
    topic = ""  # that the broker is asked about
    try:
        with closing(MqttConnection(config, will=None, stop=stop)) as connection:
            offered = connection.capabilities
            if "clip" in unproven and offered.protocol == "5" and offered.max_qos:
                unproven.remove("clip")
                for source in sources:
                    topic = topics.clip(source)
                    refusal = _refusal(connection, config.where, check(topics, source), stop)
                    if refusal is not None:
                        faults.append(f"{about}: {topic} refused: {refusal.name}; {refusal.hint}")
    except BrokerError as error:
        return [*faults, f"{about}, at {topic}: {error}" if topic else f"{about}: {error}"], ""
    detail = f"{about}: MQTT {offered.protocol}"
    if unproven:
        detail += f"; not proven: that it may publish {' and '.join(f'<source>/{kind}' for kind in unproven)}"
    return faults, detail


def _refusal(connection: MqttConnection, where: str, message: Message, stop: threading.Event) -> ReasonCode | None:
    """Return why the broker refuses a message; None: it does not. Raises BrokerError."""
    packet_id = connection.publish(message, expiry_s=EXPIRY_S)
    deadline_s = time.monotonic() + ANSWER_S
    while not stop.is_set():
        for event in connection.poll(_STEP_S):
            match event:
                case Acknowledged(answered, refusal) if answered == packet_id:
                    return refusal
        if time.monotonic() > deadline_s:
            raise BrokerError(where, BrokerReason.TIMEOUT, f"no answer within {ANSWER_S:g} s")
    return None
