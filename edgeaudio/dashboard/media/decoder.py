"""The program that turns a clip into a WAV file: `python -m edgeaudio.dashboard.media.decoder FORMAT BYTES`.

Owns: decoding with FFmpeg (PyAV; in the dashboard only here), and the limits of this process. Does not know: files, who
asks (wav_copy.py).

A clip comes from the network, and a decoder is where hostile bytes do harm. So it is decoded in a process of its own,
which ends after one: bounded in memory, CPU, files and output, with one demuxer and the decoders of our own formats. It
is read from standard input, and the copy written to standard output, which is a file. Status 0: it is complete.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
from itertools import chain
from typing import Final

CPU_S: Final = 20
MEMORY_BYTES: Final = 1 << 30
SAMPLE_RATE: Final = 48_000  # Hz, the most of a copy
CHANNELS: Final = 2  # the most of a copy
_CODECS: Final = {
    "ogg": {"opus", "libopus"},
    "flac": {"flac"},
    "wav": {"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8", "pcm_f32le"},
}
_MAX_RATE, _MAX_CHANNELS = 1_000_000, 64  # as capture admits them
_SAMPLE_BYTES: Final = 2
_HEAD: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")


def main(format_name: str, most_bytes: int) -> int:
    """Decode standard input; returns the exit status."""
    _limit(most_bytes)
    import av  # noqa: PLC0415 (within the limits)

    av.logging.set_level(None)
    out = sys.stdout.buffer
    with av.open(sys.stdin.buffer, format=format_name, mode="r", options={"probesize": "100000"}) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None or stream.codec_context.name not in _CODECS[format_name]:
            return 3
        context = stream.codec_context
        context.thread_count = 1
        if not 1 <= context.sample_rate <= _MAX_RATE or not 1 <= context.layout.nb_channels <= _MAX_CHANNELS:
            return 3
        rate = min(context.sample_rate, SAMPLE_RATE)
        channels = min(context.layout.nb_channels, CHANNELS)
        resampler = av.AudioResampler("s16", "mono" if channels == 1 else "stereo", rate)
        out.write(_HEAD.pack(*_head(rate, channels, 0)))
        written = 0
        for frame in chain(container.decode(stream), (None,)):  # one is in memory at a time
            for piece in resampler.resample(frame):
                data = memoryview(piece.planes[0])[: piece.samples * channels * _SAMPLE_BYTES]
                written += len(data)
                if written + _HEAD.size > most_bytes:
                    return 4
                out.write(data)
    if not written:
        return 3
    out.seek(0)
    out.write(_HEAD.pack(*_head(rate, channels, written)))
    out.flush()
    return 0


def _head(rate: int, channels: int, n_bytes: int) -> tuple[object, ...]:
    """Return the fields of a WAV file's head."""
    frame = channels * _SAMPLE_BYTES
    form = 16, 1, channels, rate, rate * frame, frame, 8 * _SAMPLE_BYTES
    return (b"RIFF", n_bytes + _HEAD.size - 8, b"WAVE", b"fmt ", *form, b"data", n_bytes)


def _limit(most_bytes: int) -> None:
    for what, most in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, most_bytes),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)  # noqa: PLW2901 (it is lowered)
        resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    try:
        status = main(sys.argv[1], int(sys.argv[2]))
    except Exception:  # noqa: BLE001 (whatever a decoder raises: there is no copy)
        status = 5
    sys.stdout.flush()
    os._exit(status)  # FFmpeg's threads and Python's shutdown do not go together
