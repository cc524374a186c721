"""Recordings made of sine waves, in any codec that PyAV can encode.

Also a program: `python media.py push FORMAT URL CODEC RATE SECONDS` pushes such a sound, in real time: to an RTSP
listener, over UDP, or as a live HLS playlist. It has to be a process of its own, because PyAV holds
the GIL while it waits for the other end's answer.
"""

import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container.output import OutputContainer
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
    encoder_options: dict[str, str] | None = None,
    video: bool = False,
    video_s: float | None = None,
    begin_s: float = 0.0,
    sound: bool = True,
    real_time: bool = False,
) -> None:
    """Encode `samples` `(channels, n)` to `path` (a file or an address)."""
    layout = LAYOUTS[len(samples)]
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        pictures = _add_pictures(output, video_s or samples.shape[1] / rate) if video else []
        if not sound:
            output.mux(pictures)
            return
        stream = output.add_stream(codec, rate=rate, layout=layout, options=encoder_options or {})
        assert isinstance(stream, AudioStream)
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        resampler = av.AudioResampler(format=stream.format, layout=stream.layout, rate=rate)
        began = time.monotonic()
        size = stream.frame_size or 1024
        for start in range(0, samples.shape[1], size):
            while pictures and float(pictures[0].pts * pictures[0].time_base) <= start / rate:
                output.mux(pictures.pop(0))
            # packed: PyAV miscounts eight planes
            part = np.ascontiguousarray(samples[:, start : start + size].T.reshape(1, -1))
            frame = AudioFrame.from_ndarray(part, format="flt", layout=layout)
            frame.sample_rate, frame.pts = rate, start + round(begin_s * rate)
            for converted in resampler.resample(frame):
                output.mux(stream.encode(converted))
            if real_time:
                time.sleep(max(0.0, began + start / rate - time.monotonic()))
        output.mux([*pictures, *stream.encode(None)])


def _add_pictures(output: OutputContainer, seconds: float) -> list[Any]:
    stream: Any = output.add_stream("mpeg4", rate=10)
    stream.gop_size = 5
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    packets = [p for _ in range(int(10 * seconds)) for p in stream.encode(av.VideoFrame(64, 64, "yuv420p"))]
    return packets + list(stream.encode(None))


def main() -> None:
    _, container, url, codec, rate, seconds = sys.argv[1:]
    live = {"rtsp": {"rtsp_transport": "tcp"}, "hls": {"hls_time": "0.5", "hls_list_size": "4"}}
    tone = sine(1000.0, int(rate), float(seconds))
    deadline = time.monotonic() + 20
    while True:
        try:
            write_media(
                url,
                codec,
                tone,
                int(rate),
                container=container,
                options=live.get(container),
                video=container == "mpegts",
                real_time=True,
            )
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    main()
