"""Recordings made of sine waves, in any codec that PyAV can encode.

Also a program: `python media.py push URL CODEC RATE SECONDS` pushes such a sound, in real time, to
an RTSP listener. It has to be a process of its own, because PyAV holds the GIL while it waits for
the listener's answer.
"""

import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

LAYOUTS = {1: "mono", 2: "stereo", 4: "quad", 6: "5.1", 8: "7.1"}


def sine(
    frequency_hz: float, rate: int, seconds: float, *, channels: int = 1, amplitude: float = 0.5
) -> NDArray[np.float32]:
    """float32 `(channels, n)`; channel k (from 0) sounds at `frequency_hz * (k + 1)`."""
    time_s = np.arange(round(rate * seconds)) / rate
    tones = [amplitude * np.sin(2 * np.pi * frequency_hz * (k + 1) * time_s) for k in range(channels)]
    return np.stack(tones).astype(np.float32)


def write_media(
    path: Path | str,
    codec: str,
    samples: NDArray[np.float32],
    rate: int,
    *,
    container: str | None = None,
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
    video: bool = False,
    real_time: bool = False,
) -> None:
    """Encode `samples` `(channels, n)` to `path` (a file or an address)."""
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        if video:
            picture: Any = output.add_stream("mpeg4", rate=10)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        stream = output.add_stream(codec, rate=rate, layout=LAYOUTS[len(samples)])
        assert isinstance(stream, AudioStream)
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        frames = 0 if not video else int(samples.shape[1] / rate * 10)
        for _ in range(frames):
            output.mux(picture.encode(av.VideoFrame(64, 64, "yuv420p")))
        resampler = av.AudioResampler(format=stream.format, layout=stream.layout, rate=rate)
        began = time.monotonic()
        size = stream.frame_size or 1024
        for start in range(0, samples.shape[1], size):
            part = np.ascontiguousarray(samples[:, start : start + size])
            frame = AudioFrame.from_ndarray(part, format="fltp", layout=LAYOUTS[len(samples)])
            frame.sample_rate, frame.pts = rate, start
            for converted in resampler.resample(frame):
                output.mux(stream.encode(converted))
            if real_time:
                time.sleep(max(0.0, began + start / rate - time.monotonic()))
        output.mux(stream.encode(None))
        if video:
            output.mux(picture.encode(None))


def main() -> None:
    _, url, codec, rate, seconds = sys.argv[1:]
    tone = sine(1000.0, int(rate), float(seconds))
    deadline = time.monotonic() + 20
    while True:
        try:
            write_media(
                url, codec, tone, int(rate), container="rtsp", options={"rtsp_transport": "tcp"}, real_time=True
            )
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    main()
