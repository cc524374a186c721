"""Live columns, read: the header of a packet of docs/mqtt.md, every field within bounds. Pure.

The packet itself goes to pages as it came. What is checked here is what they rely on when they draw it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Final

from edgeaudio.schema_versions import LIVE_VERSION
from edgeaudio.slugs import is_slug
from edgeaudio.wire.payload_fields import WireError, require_bounds

# version, scale, flags, reserved; stream, sequence; time; hop, lowest and highest Hz, floor, step; columns, bands
_HEADER: Final = struct.Struct("<4B2Iq5f2H")
_LINEAR: Final = 0
MAX_COLUMNS: Final = 100
MAX_BANDS: Final = 512
MAX_PACKET: Final = _HEADER.size + MAX_COLUMNS * MAX_BANDS  # bytes
_LAST_US: Final = 7_258_118_400_000_000  # the year 2200
_HOP_US: Final = (1_000.0, 1_000_000.0)
_MAX_HZ: Final = 1e6
_FLOOR_DB: Final = (-300.0, 0.0)
_MAX_STEP_DB: Final = 10.0


@dataclass(frozen=True, slots=True)
class Columns:
    """A packet of one source that is watched live."""

    device: str
    source: str
    packet: bytes


def parse_columns(base: str, topic: str, packet: bytes) -> Columns | None:
    """Return a packet; None: the topic is that of no packet. Raises WireError."""
    levels = topic.removeprefix(f"{base}/").split("/")
    if len(levels) != 3 or levels[2] != "live" or not all(map(is_slug, levels)):
        return None
    if len(packet) < _HEADER.size:
        raise WireError("is shorter than its header")
    version, scale, _flags, _reserved, _stream, _sequence, at_us, hop_us, low_hz, high_hz, *rest = _HEADER.unpack_from(
        packet
    )
    floor_db, step_db, n_columns, n_bands = rest
    if version != LIVE_VERSION:
        raise WireError(f"version: is not {LIVE_VERSION}")
    if scale != _LINEAR:
        raise WireError("scale: is not linear")
    if not 0 <= at_us < _LAST_US:
        raise WireError("time: is not from 1970 to 2199")
    require_bounds(
        (
            ("hop", hop_us, *_HOP_US),
            ("lower edge", low_hz, 0.0, high_hz),
            ("upper edge", high_hz, math.nextafter(low_hz, math.inf), _MAX_HZ),
            ("floor", floor_db, *_FLOOR_DB),
            ("step", step_db, math.nextafter(0.0, 1.0), _MAX_STEP_DB),
            ("columns", n_columns, 1, MAX_COLUMNS),
            ("bands", n_bands, 1, MAX_BANDS),
        )
    )
    if len(packet) != _HEADER.size + n_columns * n_bands:
        raise WireError("has not as many levels as its header says")
    return Columns(levels[0], levels[1], packet)
