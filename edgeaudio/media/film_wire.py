"""What a film's encoder sends to the process that pushes it (film_pusher.py), and what that answers.

Owns: the bytes on both pipes. Does not know: processes, servers, FFmpeg.

To the process: a head (JSON: the address, its container, units of times), a film without pictures from which it learns
what the streams are, and then packets. From it: a byte for the connection, one for each packet that FFmpeg took, and at
the end a fault. The address holds a login, so it is on no command line, and in no environment.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
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
    """Reads what the encoder sends, from a blocking descriptor's `read(n)`, which may return less."""

    def __init__(self, read: Callable[[int], bytes | None]) -> None:
        self._read = read

    def head(self) -> PushHead:
        """Raises EOFError."""
        fields = json.loads(self._exactly(*_LENGTH.unpack(self._exactly(_LENGTH.size))))
        template = self._exactly(*_LENGTH.unpack(self._exactly(_LENGTH.size)))
        units = tuple(Fraction(*unit) for unit in fields["units"])
        return PushHead(fields["url"], fields["container"], fields["options"], units, template)

    def packet(self) -> tuple[PacketHead, bytes] | None:
        """Return the next packet; None at the end."""
        try:
            stream, is_key, *rest = _PACKET.unpack(self._exactly(_PACKET.size))
            head = PacketHead(stream, bool(is_key), *rest)
            return head, self._exactly(head.size)
        except EOFError:
            return None

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._read(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)
