"""A camera of the demo, a program: `python -m edgeaudio.demo.camera URL FILE CODEC SAMPLE_RATE [repeat]`.

It pushes a sound to an RTSP listener in real time, and prints `began SECONDS` (since 1970) when the first sample is
sent. With `repeat` the sound begins again after a pause, in the same stream, until the process is ended.

It is a process of its own because PyAV's output holds the interpreter's lock while it waits for an answer.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Iterator
from fractions import Fraction

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

RETRY_FOR_S = 20.0
# length of frames for an encoder that takes any: what a packet can carry
FRAME_S = 0.02
# a machine that slept makes up for no more than this
LATE_S = 1.0
# long enough to end the event of a sound, which lasts 6 s longer than the sound; after 10 s the source would be silent
PAUSE_S = 6.0


def _push(url: str, file: str, codec: str, sample_rate: int, *, repeat: bool) -> None:
    with av.open(file) as recording, av.open(url, "w", format="rtsp", options={"rtsp_transport": "tcp"}) as output:
        stream = output.add_stream(codec, rate=sample_rate, layout="mono")
        if not isinstance(stream, AudioStream):
            raise TypeError(codec)
        size = stream.frame_size or round(FRAME_S * sample_rate)
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=sample_rate, frame_size=size)
        output.start_encoding()
        began_s = time.time()
        print(f"began {began_s:.3f}", flush=True)
        sent = 0
        for source in _frames(recording, repeat=repeat):
            for frame in resampler.resample(source):
                _send(output, stream, frame, sent)
                sent += frame.samples
                early_s = began_s + sent / sample_rate - time.time()
                if early_s < -LATE_S:
                    began_s -= early_s
                time.sleep(max(0.0, early_s))
        output.mux(stream.encode(None))


def _frames(recording: av.container.InputContainer, *, repeat: bool) -> Iterator[AudioFrame | None]:
    """Yield the frames of a sound, over and over if wanted, and None at its end."""
    frames = list(recording.decode(audio=0))
    for frame in frames:
        frame.pts = None  # they would jump back
    if repeat:
        first = frames[0]
        silence = AudioFrame.from_ndarray(np.zeros_like(first.to_ndarray()), first.format.name, first.layout.name)
        silence.sample_rate = first.sample_rate
        frames += [silence] * math.ceil(PAUSE_S * first.sample_rate / first.samples)
    yield from itertools.cycle(frames) if repeat else frames
    yield None


def _send(output: av.container.OutputContainer, stream: AudioStream, frame: AudioFrame, position: int) -> None:
    frame.pts = position
    frame.time_base = Fraction(1, frame.sample_rate)
    output.mux(stream.encode(frame))


def main() -> int:
    """Connect, with retries until the listener is there, and push."""
    url, file, codec, sample_rate, *more = sys.argv[1:]
    deadline_s = time.monotonic() + RETRY_FOR_S
    while True:
        try:
            _push(url, file, codec, int(sample_rate), repeat=more == ["repeat"])
        except ConnectionRefusedError:
            if time.monotonic() > deadline_s:
                return 1
            time.sleep(0.05)
        else:
            return 0


if __name__ == "__main__":
    sys.exit(main())
