"""A subscriber to clips and pictures that keeps their MQTT 5 properties."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from support.waiting import wait_until


@dataclass(frozen=True)
class Arrived:
    topic: str
    payload: bytes
    retain: bool
    qos: int
    content_type: str | None
    user: dict[str, str]
    expiry_s: int | None
    at_s: float  # monotonic


class MediaReceiver:
    """Receives what is published on all topics. It is connected when made."""

    def __init__(self, port: int, *filters: str, username: str | None = None, password: str | None = None) -> None:
        self.heard: list[Arrived] = []
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(username, password)
        self._client.on_connect = lambda client, *_: client.subscribe([(each, 1) for each in filters or ("#",)])
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def _on_message(self, _client: object, _userdata: object, message: Any) -> None:
        properties = message.properties
        self.heard.append(
            Arrived(
                message.topic,
                bytes(message.payload),
                message.retain,
                message.qos,
                getattr(properties, "ContentType", None),
                dict(getattr(properties, "UserProperty", [])),
                getattr(properties, "MessageExpiryInterval", None),
                time.monotonic(),
            )
        )

    def of(self, ending: str) -> list[Arrived]:
        return [each for each in list(self.heard) if each.topic.endswith(ending)]

    def wait_for(self, ending: str, count: int = 1, timeout_s: float = 30.0) -> list[Arrived]:
        def come() -> bool:
            return len(self.of(ending)) >= count

        wait_until(come, timeout_s, f"of {ending} only {len(self.of(ending))} came")
        return self.of(ending)

    def wait_until(self, condition: Callable[[list[Arrived]], object], timeout_s: float = 30.0) -> None:
        wait_until(lambda: condition(list(self.heard)), timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
