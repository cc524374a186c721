"""Live sound decoded to numbers."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import av
import numpy as np

from edgeaudio.types import LiveSound, Samples

RATE = 48_000  # Hz


@dataclass(frozen=True)
class Heard:
    """The sound of one stream."""

    at: datetime  # of its first sample
    samples: Samples

    @property
    def end(self) -> datetime:
        return self.at + timedelta(seconds=len(self.samples) / RATE)

    def index(self, at: datetime) -> int:
        return round((at - self.at).total_seconds() * RATE)


def decoded(packets: Iterable[bytes]) -> Samples:
    """Return all that packets hold, pre-skip included."""
    codec = av.CodecContext.create("libopus", "r")
    codec.extradata = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, RATE, 0, 0)
    frames = [frame for packet in packets for frame in codec.decode(av.Packet(packet))]
    assert {frame.format.name for frame in frames} <= {"s16"}
    return np.concatenate([np.empty(0, np.float32), *(_samples(frame) for frame in frames)])


def _samples(frame: av.AudioFrame) -> Samples:
    return (frame.to_ndarray().reshape(-1) / 32_768).astype(np.float32)


def heard(messages: Sequence[LiveSound]) -> list[Heard]:
    """Return the sound of each stream, whose messages must be whole and in order."""
    streams: dict[int, list[LiveSound]] = {}
    for message in messages:
        streams.setdefault(message.stream, []).append(message)
    return [_heard(stream) for stream in streams.values()]


def _heard(messages: Sequence[LiveSound]) -> Heard:
    first = messages[0]
    assert [message.sequence for message in messages] == list(range(len(messages)))
    position = 0
    for message in messages:
        assert message.position == position
        position += message.count
        begin = max(message.position - first.pre_skip, 0)
        assert abs((message.at - first.at).total_seconds() - begin / RATE) < 0.002
    samples = decoded(packet for message in messages for packet in message.packets)
    assert position <= len(samples) < position + 2 * 960
    return Heard(first.at, samples[first.pre_skip : position])
