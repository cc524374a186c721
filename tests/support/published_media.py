"""Clips and pictures as agents publish them: made by the agent's own writers, sent with their properties."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from PIL import Image

from edgeaudio.media.writer import AudioForm, AudioFormat, AudioWriter
from edgeaudio.types import Samples

RATE = 16_000  # Hz


def tone(*frequencies_hz: float, seconds: float = 4.0, rate: int = RATE, level: float = 0.1) -> Samples:
    """Sines, one after the other, each as long as the others."""
    times = np.arange(round(seconds / len(frequencies_hz) * rate)) / rate
    return np.concatenate([level * np.sin(2 * np.pi * hz * times) for hz in frequencies_hz]).astype(np.float32)


def clip(samples: Samples, audio_format: AudioFormat = "opus", rate: int = RATE) -> bytes:
    """Return the file that an agent writes of samples `(n,)` or `(n, channels)`."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "clip"
        writer = AudioWriter(file, AudioForm(audio_format, 48_000 if audio_format == "opus" else rate, channels, rate))
        writer.write(samples)
        writer.close()
        return file.read_bytes()


def picture(image_format: Literal["jpeg", "webp", "png"] = "jpeg") -> bytes:
    """Return a small picture."""
    file = BytesIO()
    Image.new("RGB", (96, 48), (120, 40, 90)).save(file, image_format)
    return file.getvalue()


class MediaPublisher:
    """An agent's connection for clips and pictures. It is connected when made."""

    def __init__(self, port: int, *, is_5: bool = True) -> None:
        self._is_5 = is_5
        protocol = MQTTProtocolVersion.MQTTv5 if is_5 else MQTTProtocolVersion.MQTTv311
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def send(
        self, content: bytes, content_type: str, event_id: str, *, source: str = "dock/porch", **info: Any
    ) -> None:
        """Publish what is known of a file, and the file, as media_sink.py does."""
        topic = f"edgeaudio/{source}/{'clip' if content_type.startswith('audio/') else 'image'}"
        table = {"schema_version": 1, "id": event_id, "bytes": len(content)} | info
        self.publish(f"{topic}/info", json.dumps(table).encode())
        self.publish(topic, content, content_type, {"id": event_id})

    def publish(
        self,
        topic: str,
        payload: bytes,
        content_type: str = "",
        user: dict[str, str] | None = None,
        *,
        retain: bool = False,
    ) -> None:
        properties = None
        if self._is_5:
            properties = Properties(PacketTypes.PUBLISH)
            if content_type:
                properties.ContentType = content_type
            if user:
                properties.UserProperty = list(user.items())
        self._client.publish(topic, payload, 0, retain, properties).wait_for_publish(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
