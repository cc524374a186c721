"""What a film's encoder sends to the process that pushes it (film_pusher.py), and what that answers.

Owns: the bytes on both pipes. Does not know: processes, servers, FFmpeg.

To the process: a head (JSON: the address, its container, units of times), a film without pictures from which it learns
what the streams are, and then packets. From it: a byte for the connection, one for each packet that FFmpeg took, and at
the end a fault. The address holds a login, so it is on no command line, and in no environment.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

OPENED: Final = b"o"
TAKEN: Final = b"."
FAULT: Final = b"!"  # and JSON up to the end
MAX_PACKET_BYTES: Final = 32 << 20
_LENGTH: Final = struct.Struct("<I")
_PACKET: Final = struct.Struct("<BBqqqI")  # stream, whether it is a key, pts, dts, duration, bytes


@dataclass(frozen=True, slots=True)
class PushHead:
    """Where a film is pushed to, and how."""

    url: str  # with its login: secret
    container: str  # FFmpeg's name
    options: dict[str, str]
    units: tuple[Fraction, ...]  # of the times of each stream, in seconds
    template: bytes  # a film without pictures, in NUT

    def __repr__(self) -> str:
        return f"PushHead({self.container})"

    def packed(self) -> bytes:
        units = [[unit.numerator, unit.denominator] for unit in self.units]
        fields = {"url": self.url, "container": self.container, "options": self.options, "units": units}
        head = json.dumps(fields).encode()
        return b"".join((_LENGTH.pack(len(head)), head, _LENGTH.pack(len(self.template)), self.template))


@dataclass(frozen=True, slots=True)
class PacketHead:
    """A packet without its data; times in the unit of its stream."""

    stream: int
    is_key: bool
    pts: int
    dts: int
    duration: int
    size: int

    def packed(self) -> bytes:
        return _PACKET.pack(self.stream, self.is_key, self.pts, self.dts, self.duration, self.size)


class WireReader:
    """Parses what the encoder sends, from pieces of any length. Raises ValueError where that is nothing of the sort."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        self._data += data

    def head(self) -> PushHead | None:
        """Return the head, which comes first; None until all of it is there."""
        end = self._end_of_text(0)
        begin = end
        end = 0 if end == 0 else self._end_of_text(end)
        if end == 0:
            return None
        fields = json.loads(self._data[_LENGTH.size : begin])
        template = bytes(self._data[begin + _LENGTH.size : end])
        del self._data[:end]
        units = tuple(Fraction(*unit) for unit in fields["units"])
        return PushHead(fields["url"], fields["container"], fields["options"], units, template)

    def packet(self) -> tuple[PacketHead, bytes] | None:
        """Return the next packet; None until all of it is there."""
        if len(self._data) < _PACKET.size:
            return None
        stream, is_key, *rest = _PACKET.unpack_from(self._data)
        head = PacketHead(stream, bool(is_key), *rest)
        if head.size > MAX_PACKET_BYTES:
            raise ValueError("a packet that is too large")
        end = _PACKET.size + head.size
        if len(self._data) < end:
            return None
        data = bytes(self._data[_PACKET.size : end])
        del self._data[:end]
        return head, data

    def _end_of_text(self, begin: int) -> int:
        """Return the end of a text with its length before it; 0 if it is not there yet."""
        if len(self._data) < begin + _LENGTH.size:
            return 0
        end = begin + _LENGTH.size + int(_LENGTH.unpack_from(self._data, begin)[0])
        return end if len(self._data) >= end else 0
