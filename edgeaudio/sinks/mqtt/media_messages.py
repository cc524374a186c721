"""Clips and their pictures as MQTT messages. Pure.

Owns: topics, content types and properties of both, and what is known of a picture for Home Assistant.
Does not know: files' contents, when a message is sent.

Neither is retained: a restarted Home Assistant takes a retained picture for a new one. QoS is 0, for a broker then
keeps nothing for subscribers that are away (with QoS 1, Mosquitto keeps 1,000 of these for each).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from edgeaudio.clock import timestamp
from edgeaudio.sinks.mqtt.messages import SCHEMA, encode
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.terminal import one_line
from edgeaudio.types import ClipReady, Message

MediaKind = Literal["clip", "image"]

SOUND_TYPES: Final = {"opus": "audio/ogg", "flac": "audio/flac", "wav": "audio/wav"}
IMAGE_TYPES: Final = {"jpg": "image/jpeg", "webp": "image/webp", "png": "image/png"}


def media(topics: Topics, clip: ClipReady, kind: MediaKind, file: Path, content: bytes) -> Message:
    """Return the message with the content of one of a clip's files."""
    if kind == "clip":
        topic, content_type = topics.clip(clip.source), SOUND_TYPES[clip.sound_format]
    else:
        topic, content_type = topics.image(clip.source), IMAGE_TYPES[file.suffix.removeprefix(".")]
    properties = {
        "id": clip.id,
        "kind": kind,
        "label": one_line(clip.label),  # brokers end connections over control characters
        "source": clip.source,
        "at": timestamp(clip.at),
    }
    return Message(topic, content, content_type=content_type, user_properties=tuple(properties.items()))


def check(topics: Topics, source: str) -> Message:
    """Return what `edgeaudio check` publishes to find out whether clips of a source are denied (MQTT 5).

    A picture has no such message: Home Assistant would show it.
    """
    properties = (("kind", "check"), ("source", source))
    return Message(topics.clip(source), b"", qos=1, user_properties=properties)


def media_info(topics: Topics, clip: ClipReady, kind: MediaKind, n_bytes: int) -> Message:
    """Return what is known of a clip or a picture, published before it.

    For those who receive no properties, over MQTT 3.1.1, and the attributes of Home Assistant's image.
    """
    payload = {
        **SCHEMA,
        "id": clip.id,
        "label": clip.label,
        "score": round(clip.score, 4),
        "at": timestamp(clip.at),
        "model": clip.model,
        "source": clip.source,
        "device": topics.device,
        "bytes": n_bytes,
    }
    if kind == "clip":
        return Message(topics.clip_info(clip.source), encode(payload))
    plot = None if clip.plot is None else [round(share, 4) for share in clip.plot]
    return Message(topics.image_info(clip.source), encode(payload | {"plot": plot}))
