"""Live sound, read: the header of a message of docs/mqtt.md, every field within bounds. Pure.

The message itself goes to pages as it came. What is checked here is what they rely on when they play it; the packets
are for a decoder.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from edgeaudio.schema_versions import SOUND_VERSION
from edgeaudio.slugs import is_slug
from edgeaudio.wire.payload_fields import WireError, require_bounds

# version, codec, flags, channels; stream, sequence; time; position; samples, pre-skip, packets
_HEADER: Final = struct.Struct("<4B2IqQI2H")
_OPUS: Final = 0
_LAST_US: Final = 7_258_118_400_000_000  # the year 2200
_LAST_POSITION: Final = 1 << 53  # which a page can count
_PACKET_SAMPLES: Final = 960  # 20 ms
MAX_PACKETS: Final = 40
MAX_PACKET_BYTES: Final = 1275  # of Opus
MAX_PRE_SKIP: Final = 4 * _PACKET_SAMPLES
MAX_MESSAGE: Final = _HEADER.size + MAX_PACKETS * (2 + MAX_PACKET_BYTES)  # bytes


@dataclass(frozen=True, slots=True)
class Sound:
    """A message of one source that is listened to."""

    device: str
    source: str
    message: bytes


def parse_sound(base: str, topic: str, message: bytes) -> Sound | None:
    """Return a message; None: the topic is that of no sound. Raises WireError."""
    levels = topic.removeprefix(f"{base}/").split("/")
    if len(levels) != 4 or levels[2:] != ["live", "audio"] or not all(map(is_slug, levels)):
        return None
    if len(message) < _HEADER.size:
        raise WireError("is shorter than its header")
    version, codec, _flags, channels, _stream, _sequence, at_us, position, count, pre_skip, n_packets = (
        _HEADER.unpack_from(message)
    )
    if version != SOUND_VERSION:
        raise WireError(f"version: is not {SOUND_VERSION}")
    if codec != _OPUS:
        raise WireError("codec: is not Opus")
    require_bounds(
        (
            ("channels", channels, 1, 1),
            ("time", at_us, 0, _LAST_US),
            ("position", position, 0, _LAST_POSITION),
            ("packets", n_packets, 1, MAX_PACKETS),
            ("samples", count, 1, n_packets * _PACKET_SAMPLES),
            ("pre-skip", pre_skip, 0, MAX_PRE_SKIP),
        )
    )
    begin = _HEADER.size + 2 * n_packets
    if len(message) < begin:
        raise WireError("is shorter than the lengths of its packets")
    lengths = struct.unpack_from(f"<{n_packets}H", message, _HEADER.size)
    if not all(1 <= length <= MAX_PACKET_BYTES for length in lengths):
        raise WireError("length of a packet: is out of bounds")
    if len(message) != begin + sum(lengths):
        raise WireError("has not as many bytes as its packets")
    return Sound(levels[0], levels[1], message)
