"""Clips, pictures and what is published before them, read from the wire contract (docs/mqtt.md). Pure.

Owns: the fixed list of content types, how a file of each begins, and the bounds of every field.
Does not know: where files are kept, which message belongs to which (inbox.py).

A content type is taken only if the file begins as one of its kind: what is served later has no other type than these.
Device and source are those of the topic, which a broker's access rules cover, and never those of properties or payload.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from edgeaudio.sinks.mqtt.events import Received
from edgeaudio.slugs import is_slug
from edgeaudio.wire.payload_fields import WireError, is_identifier

MediaKind: TypeAlias = Literal["clip", "picture"]

MAX_BYTES: Final = 8_000_000  # the most that an agent sends
MAX_INFO: Final = 4_000  # bytes


@dataclass(frozen=True, slots=True)
class MediaType:
    """One of the types that are kept and served."""

    kind: MediaKind
    content_type: str
    suffix: str  # of a file's name, without the dot
    begins: Callable[[bytes], bool]


def _riff(form: bytes) -> Callable[[bytes], bool]:
    return lambda content: content[:4] == b"RIFF" and content[8:12] == form


MEDIA_TYPES: Final = (
    # the first page of Ogg has one packet
    MediaType("clip", "audio/ogg", "opus", lambda content: content[:4] == b"OggS" and content[28:36] == b"OpusHead"),
    MediaType("clip", "audio/flac", "flac", lambda content: content[:4] == b"fLaC"),
    MediaType("clip", "audio/wav", "wav", _riff(b"WAVE")),
    MediaType("picture", "image/jpeg", "jpg", lambda content: content[:3] == b"\xff\xd8\xff"),
    MediaType("picture", "image/webp", "webp", _riff(b"WEBP")),
    MediaType("picture", "image/png", "png", lambda content: content[:8] == b"\x89PNG\r\n\x1a\n"),
)
BY_SUFFIX: Final = {each.suffix: each for each in MEDIA_TYPES}
_KINDS: Final[dict[str, MediaKind]] = {"clip": "clip", "image": "picture"}  # by topic


@dataclass(frozen=True, slots=True)
class Medium:
    """A clip or a picture."""

    device: str
    source: str
    id: str  # of its event; empty: it came without properties
    type: MediaType
    content: bytes


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What is published before a clip or a picture."""

    device: str
    source: str
    kind: MediaKind
    id: str
    bytes: int  # of the file that follows
    plot: tuple[float, float] | None  # of a picture: where the sound begins and ends, as shares of its width


def media_filters(base: str) -> tuple[str, ...]:
    """Return the topic filters of all that is read here."""
    return tuple(f"{base}/+/+/{name}" for name in ("clip/info", "clip", "image/info", "image"))


def parse_media(base: str, message: Received) -> Medium | MediaInfo | None:
    """Return what a message is; None: nothing that is kept. Raises WireError."""
    levels = message.topic.removeprefix(f"{base}/").split("/")
    if message.retained or not message.payload:  # `edgeaudio check` publishes nothing to see whether it may
        return None
    if len(levels) not in {3, 4} or levels[2] not in _KINDS or not all(map(is_slug, levels)):
        return None
    device, source, kind = levels[0], levels[1], _KINDS[levels[2]]
    if len(levels) == 4:
        return _info(device, source, kind, message.payload) if levels[3] == "info" else None
    return _medium(device, source, kind, message)


def _medium(device: str, source: str, kind: MediaKind, message: Received) -> Medium:
    content = message.payload
    if len(content) > MAX_BYTES:
        raise WireError(f"is longer than {MAX_BYTES} bytes")
    found = next((each for each in MEDIA_TYPES if each.kind == kind and each.begins(content)), None)
    if found is None:
        raise WireError(f"is no {kind} of a known type")
    if message.content_type and message.content_type != found.content_type:
        raise WireError(f"is {found.content_type}, and its content type says otherwise")
    event_id = dict(message.user_properties).get("id", "")
    if event_id and not is_identifier(event_id):
        raise WireError("id: is not made of letters, digits and hyphens, at most 64")
    return Medium(device, source, event_id, found, content)


def _info(device: str, source: str, kind: MediaKind, payload: bytes) -> MediaInfo:
    if len(payload) > MAX_INFO:
        raise WireError(f"is longer than {MAX_INFO} bytes")
    try:
        table = json.loads(payload.decode())
    except (ValueError, RecursionError):
        raise WireError("is no JSON") from None
    if not isinstance(table, dict):
        raise WireError("is no JSON object")
    event_id, n_bytes = table.get("id"), table.get("bytes")
    if not isinstance(event_id, str) or not is_identifier(event_id):
        raise WireError("id: is not made of letters, digits and hyphens, at most 64")
    if type(n_bytes) is not int or not 0 < n_bytes <= MAX_BYTES:
        raise WireError(f"bytes: is no count up to {MAX_BYTES}")
    return MediaInfo(device, source, kind, event_id, n_bytes, _plot(table.get("plot")))


def _plot(value: Any) -> tuple[float, float] | None:  # noqa: ANN401 (JSON)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(type(share) in {int, float} for share in value):
        raise WireError("plot: is no pair of numbers")
    left, right = map(float, value)
    if not 0 <= left < right <= 1:
        raise WireError("plot: is not within 0 and 1")
    return left, right
