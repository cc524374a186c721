"""A film as what goes to the process that pushes it (film_pusher.py): encoded, from a first picture on.

Owns: where a connection's film begins, and the description of its streams. Does not know: processes, servers.

A server counts both streams from the first packet of each, until it knows better. So both begin at the same time: AAC's
packets from before its first sample are left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
from av.packet import Packet

from edgeaudio.media.film_encoder import FilmEncoder
from edgeaudio.media.film_form import FilmFormat, FilmWriterError, PictureForm, Plane, SoundForm
from edgeaudio.media.film_wire import PacketHead
from edgeaudio.types import Samples

_KEPT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class WirePacket:
    """A packet as film_wire.py has it."""

    data: bytes
    is_picture: bool


class PushEncoder:
    """The film of one connection. Every method raises FilmWriterError if FFmpeg cannot encode."""

    def __init__(
        self, film_format: FilmFormat, sound: SoundForm, picture: PictureForm, *, encoders: Iterable[str]
    ) -> None:
        self._encoder = FilmEncoder(film_format, sound, picture, encoders=encoders, from_start=False)
        self._begin_s: Fraction | None = None  # time of the first picture
        self._early: deque[tuple[int, Samples]] = deque()  # sound from before the first picture
        self.units = (Fraction(1, film_format.frame_rate), Fraction(1, sound.sample_rate))
        self.force_key = self._encoder.force_key

    def picture(self, number: int, planes: tuple[Plane, Plane, Plane]) -> list[WirePacket]:
        """As FilmEncoder.picture."""
        if self._begin_s is None:
            self._begin_s = number * self.units[0]
            self._encoder.begin_at(number)
            packets = self._encoder.picture(number, planes)
            for position, samples in self._early:
                packets += self._encoder.sound(position, samples)
            self._early.clear()
            return self._packed(packets)
        return self._packed(self._encoder.picture(number, planes))

    def sound(self, position: int, samples: Samples) -> list[WirePacket]:
        """As FilmEncoder.sound; before the first picture it is kept."""
        if self._begin_s is None:
            self.keep(position, samples)
            return []
        return self._packed(self._encoder.sound(position, samples))

    def keep(self, position: int, samples: Samples) -> None:
        """Keep the last sound for a first picture that will be earlier than its end: a picture follows its sound."""
        self._early.append((position, samples.copy()))
        oldest = position + len(samples) - round(_KEPT_S * self._encoder.format.sample_rate)
        while len(self._early) > 1 and self._early[0][0] < oldest:
            self._early.popleft()

    def flush(self) -> list[WirePacket]:
        """As FilmEncoder.flush."""
        return [] if self._begin_s is None else self._packed(self._encoder.flush())

    def template(self) -> bytes:
        """Return a film without pictures, in NUT, from which another process learns what the streams are."""
        sink = _Bytes()
        try:
            with av.open(sink, "w", format="nut") as container:
                for encoder in (self._encoder.video, self._encoder.audio):
                    container.add_stream_from_template(encoder, opaque=True)
                container.start_encoding()
                for stream in container.streams:  # a demuxer wants a packet of each
                    packet: Packet[Any] = Packet(b"\0")
                    packet.pts = packet.dts = 0
                    packet.time_base = Fraction(1, 1000)
                    packet.stream, packet.is_keyframe = stream, True
                    container.mux(packet)
        except (av.FFmpegError, ValueError) as error:
            raise FilmWriterError(f"the film's streams cannot be described: {error}") from None
        return bytes(sink.data)

    def _packed(self, packets: Iterable[Packet[Any]]) -> list[WirePacket]:
        packed = []
        for packet in packets:
            index = packet.stream.index
            if packet.pts is None or packet.dts is None or self._begin_s is None:
                continue
            if packet.pts < int(self._begin_s / self.units[index]):  # a resampler rounds
                continue
            head = PacketHead(index, packet.is_keyframe, packet.pts, packet.dts, int(packet.duration or 0), packet.size)
            packed.append(WirePacket(head.packed() + bytes(packet), is_picture=index == self._encoder.video.index))
        return packed


class _Bytes:
    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)
