"""The floor, a program: `python -m tools.benchmarks.floor URL N`: what a bare loop in Python needs for N streams.

A thread a stream: PyAV decodes, FFmpeg resamples, NumPy computes the frames that the model `home` wants, the
interpreter is invoked every 0.5 s. Each connection is read every 0.5 s; what comes meanwhile waits in TCP's buffer.
There is no error handling, no time, no level, no detector, no message. `--decode-only` decodes and does nothing else;
`--at-once` reads every packet when it comes.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from functools import partial
from math import inf
from typing import Any

import av
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edgeaudio.recognise.bundled_models import DEFAULT_MODEL, find_model
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.filters import mel_filters, window
from edgeaudio.recognise.interpreter import open_interpreter
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME, Manifest
from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.types import Samples
from tools.benchmarks.stream_program import Tally, serve

# of FFmpeg, as the agent opens a camera: the sound alone, by TCP
OPTIONS = {"rtsp_transport": "tcp", "allowed_media_types": "audio"}
PERIOD_S = 0.5  # from one clip to the next, and from one read to the next
LATE_S = 0.01  # a read begins this long after its last packet was due, so that it finds all of them


def home() -> tuple[Manifest, Any]:
    """Return the manifest of the model `home`, and an interpreter of it, ready to be invoked."""
    folder = find_model(DEFAULT_MODEL)
    file = folder / MODEL_FILE_NAME
    interpreter = open_interpreter(file, file.read_bytes())
    interpreter.allocate_tensors()
    return read_manifest(folder / FILE_NAME), interpreter


class LogMel:
    """Features of the latest clip of one stream, of which each frame is computed once."""

    def __init__(self, config: FeatureConfig, n_samples: int) -> None:
        self._config = config
        self._window, self._mels = window(config), mel_filters(config)
        self._rows = np.zeros((config.n_frames(n_samples), config.n_mels), np.float32)
        self._tail: Samples = np.zeros(0, np.float32)  # samples that the next frames need
        self._mean, self._std = np.float32(config.mean[0]), np.float32(config.std[0])

    def add(self, pieces: list[Samples]) -> Samples:
        """Add samples float32 `(n,)`; return the features `(n_frames, n_mels)` of the clip that ends with them."""
        config = self._config
        signal = np.concatenate([self._tail, *pieces])
        frames = sliding_window_view(signal, config.n_fft)[:: config.hop_length]
        spectrum = np.fft.rfft(frames * self._window, axis=1)
        energy = (spectrum.real**2 + spectrum.imag**2) @ self._mels
        rows = np.log10(np.maximum(energy, np.float32(config.log_floor))) * np.float32(10)
        self._tail = signal[len(rows) * config.hop_length :]
        self._rows = np.concatenate([self._rows[len(rows) :], rows])
        clip = np.maximum(self._rows - self._rows.max(), np.float32(-config.top_db))
        values: Samples = np.clip((clip - self._mean) / self._std, config.clip_min, config.clip_max)
        return values


class Scorer:
    """One interpreter for all streams."""

    def __init__(self) -> None:
        self.manifest, self._interpreter = home()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._lock = threading.Lock()

    def scores(self, features: Samples) -> object:
        """Return the model's output for one clip's features."""
        scale, zero = self._input["quantization"]
        values = np.clip(np.rint(features / np.float32(scale)) + np.float32(zero), -128, 127).astype(np.int8)
        with self._lock:
            self._interpreter.set_tensor(self._input["index"], values[None])
            self._interpreter.invoke()
            return self._interpreter.get_tensor(self._output)


def reads_of(url: str, read_every_s: float, tally: Tally) -> Iterator[list[av.AudioFrame]]:
    """Yield the frames of each read. `read_every_s`: seconds of sound of one read; 0: each packet is one."""
    with av.open(url, options=OPTIONS) as container:
        began_s, read_to_s = inf, read_every_s
        frames: list[av.AudioFrame] = []
        for packet in container.demux(container.streams.audio[0]):
            for frame in packet.decode():
                tally.heard_s += frame.samples / frame.sample_rate
                frames.append(frame)
            if tally.heard_s < read_to_s:
                continue
            arrived_s = time.monotonic()
            yield frames
            frames = []
            if read_every_s:
                read_to_s += read_every_s
                # the earliest beginning is that of the read that waited least
                began_s = min(began_s, arrived_s - tally.heard_s)
                time.sleep(max(0.0, began_s + read_to_s + LATE_S - time.monotonic()))


def decode(url: str, read_every_s: float, tally: Tally) -> None:
    """Decode one stream."""
    for _ in reads_of(url, read_every_s, tally):
        pass


def hear(url: str, scorer: Scorer, tally: Tally) -> None:
    """Decode, resample and score one stream."""
    clip = scorer.manifest.clip
    assert scorer.manifest.features is not None
    features = LogMel(scorer.manifest.features, clip.n_samples)
    resampler = av.AudioResampler("flt", "mono", clip.sample_rate)
    for frames in reads_of(url, PERIOD_S, tally):
        values = features.add([out.to_ndarray()[0] for frame in frames for out in resampler.resample(frame)])
        if tally.heard_s >= clip.n_samples / clip.sample_rate:
            scorer.scores(values)
            tally.scored += 1


def main() -> None:
    """Listen until the input ends."""
    parser = argparse.ArgumentParser(description="the floor of N streams")
    parser.add_argument("url")
    parser.add_argument("n_streams", type=int)
    parser.add_argument("--decode-only", action="store_true")
    parser.add_argument("--at-once", action="store_true")
    options = parser.parse_args()
    if options.decode_only:
        serve(options.n_streams, partial(decode, options.url, 0.0 if options.at_once else PERIOD_S))
    else:
        serve(options.n_streams, partial(hear, options.url, Scorer()))


if __name__ == "__main__":
    main()
