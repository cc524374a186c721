"""Resampling to 16 kHz: microseconds of CPU for a second of sound, in blocks as a decoder gives them and in long ones.

Owns: how each peer is used. Does not know: what is done with the sound.

FFmpeg gets frames that are made beforehand, as a decoder's are; edgeaudio and soxr get arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.lib.stride_tricks import sliding_window_view

from edgeaudio.recognise.resample import Resampler, polyphase_filter
from edgeaudio.types import Samples
from tools.benchmarks.cores import pinned
from tools.benchmarks.figures import Figure, Target
from tools.benchmarks.peers import installed
from tools.benchmarks.timing import ROUNDS, cpu_s

TO_HZ = 16_000
# rate -> samples of a frame of the codec that is usual there: AAC, Opus or AAC, G.711
FRAMES = {48_000: 1024, 44_100: 1024, 8_000: 160}
BLOCKS_S = (0.25, 10.0)
SECONDS = 20
PRODUCT = "product alone"


def measure(*, short: bool) -> Iterator[Figure]:
    """Measure each rate with each length of blocks."""
    seconds = SECONDS if not short else 10
    with pinned():
        for rate, frame in FRAMES.items():
            signal = (0.1 * np.random.default_rng(0).standard_normal(seconds * rate)).astype(np.float32)
            for size, named in (
                (frame, f"{1000 * frame / rate:.0f} ms"),
                *((round(s * rate), f"{s:g} s") for s in BLOCKS_S),
            ):
                blocks = [signal[start : start + size] for start in range(0, len(signal), size)]
                works = {"edgeaudio": _ours(blocks, rate), "FFmpeg's swr, by PyAV": _ffmpeg(blocks, rate)}
                if installed("soxr"):
                    works["soxr"] = _soxr(blocks, rate)
                works[PRODUCT] = _product(signal, rate)
                found = cpu_s(works, rounds=2 if short else ROUNDS)
                others = {name: 1e6 * value / seconds for name, value in found.items()}
                ours, product_us = others.pop("edgeaudio"), others.pop(PRODUCT)
                fastest = min(others, key=others.__getitem__)
                note = f"NumPy's product in one piece takes {product_us:.0f} µs; each block's calls the rest"
                name = f"{rate / 1000:g} kHz, blocks of {named}"
                yield Figure(name, "µs a second", ours, others, Target(1.0, fastest), note)


def _ours(blocks: Sequence[Samples], rate: int) -> Callable[[], object]:
    def run() -> None:
        resampler = Resampler(rate, TO_HZ)
        for block in blocks:
            resampler.feed(block)
        resampler.flush()

    return run


def _product(signal: Samples, rate: int) -> Callable[[], object]:
    """Return the arithmetic alone: windows of the whole signal times the filter's matrix."""
    step, matrix, _ = polyphase_filter(Fraction(rate, TO_HZ))
    rows = np.ascontiguousarray(sliding_window_view(signal, len(matrix))[::step])
    return lambda: rows @ matrix


def _ffmpeg(blocks: Sequence[Samples], rate: int) -> Callable[[], object]:
    frames = []
    for block in blocks:
        frame = AudioFrame.from_ndarray(block[None], "flt", "mono")
        frame.sample_rate = rate
        frames.append(frame)

    def run() -> None:
        resampler = av.AudioResampler("flt", "mono", TO_HZ)
        for frame in (*frames, None):
            for out in resampler.resample(frame):
                out.to_ndarray()

    return run


def _soxr(blocks: Sequence[Samples], rate: int) -> Callable[[], object]:
    import soxr

    def run() -> None:
        resampler = soxr.ResampleStream(rate, TO_HZ, 1, dtype="float32")
        for block in blocks:
            resampler.resample_chunk(block)
        resampler.resample_chunk(blocks[-1][:0], last=True)

    return run
