"""Packets of Opus, for sound that is sent as it comes: samples in, packets out, without a container.

Owns: encoding with FFmpeg (PyAV), and where in the packets the sound begins and ends. Does not know: times, messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np

from edgeaudio.media.writer import OPUS_INPUT_RATES_HZ, OPUS_RATE_HZ, AudioWriterError
from edgeaudio.types import Samples

CODEC: Final = "libopus"
PACKET_SAMPLES: Final = 960  # at OPUS_RATE_HZ: 20 ms
BIT_RATE: Final = 32_000  # bits a second, over a second or so
_HEAD_PRE_SKIP: Final = slice(10, 12)  # of an OpusHead (RFC 7845)


@dataclass(frozen=True, slots=True)
class OpusPackets:
    """Consecutive packets, and how many samples at OPUS_RATE_HZ they add: fewer than they hold where sound ends."""

    packets: tuple[bytes, ...]
    count: int


class OpusEncoder:
    """One stretch of mono sound without a hole. Every method raises AudioWriterError if FFmpeg cannot encode."""

    def __init__(self, sample_rate: int) -> None:
        """`sample_rate`: Hz, of what is fed; all but that of Opus itself are resampled."""
        self._sample_rate = sample_rate
        self._fed = 0  # samples
        self._given = 0  # samples at OPUS_RATE_HZ
        rate = sample_rate if sample_rate in OPUS_INPUT_RATES_HZ else OPUS_RATE_HZ
        try:
            self._codec = av.CodecContext.create(CODEC, "w")
            self._codec.sample_rate = rate
            self._codec.layout = "mono"
            self._codec.format = "flt"
            self._codec.bit_rate = BIT_RATE
            self._codec.time_base = Fraction(1, rate)
            # CELT alone: it is for any sound, and a decoder that begins in the middle is right at once. SILK, for
            # speech, needs up to half a second for that
            self._codec.options = {"frame_duration": "20", "vbr": "constrained", "application": "lowdelay"}
            self._codec.open()
        except (av.FFmpegError, ValueError) as error:
            raise AudioWriterError(f"this FFmpeg cannot encode Opus: {error}") from None
        head = self._codec.extradata or b""
        self.pre_skip = int.from_bytes(head[_HEAD_PRE_SKIP], "little")  # samples at OPUS_RATE_HZ before the sound

    def feed(self, samples: Samples) -> OpusPackets:
        """Return the packets that samples float32 (n,) complete."""
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(np.clip(samples, -1.0, 1.0)).reshape(1, -1), format="flt", layout="mono"
        )
        frame.sample_rate = self._sample_rate
        frame.pts = self._fed
        frame.time_base = Fraction(1, self._sample_rate)
        self._fed += len(samples)
        packets = self._encode(frame)
        count = PACKET_SAMPLES * len(packets)
        self._given += count
        return OpusPackets(packets, count)

    def flush(self) -> OpusPackets:
        """Return the last packets; nothing may be fed after that."""
        if not self._fed:
            return OpusPackets((), 0)
        packets = self._encode(None)
        end = self.pre_skip + self._fed * OPUS_RATE_HZ // self._sample_rate
        count = min(max(end - self._given, 0), PACKET_SAMPLES * len(packets))
        return OpusPackets(packets, count)

    def _encode(self, frame: av.AudioFrame | None) -> tuple[bytes, ...]:
        try:
            return tuple(bytes(packet) for packet in self._codec.encode(frame))
        except (av.FFmpegError, ValueError) as error:
            raise AudioWriterError(f"the sound cannot be encoded: {error}") from None
