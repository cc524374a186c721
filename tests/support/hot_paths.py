"""The paths that run for every source all the time, as work that can be counted; a program, so that it is alone.

    python -m support.hot_paths bytecodes    Python's instructions, and the most memory, of a unit of each path
    python -m support.hot_paths marks        each path a few times, with a mark between, for a count from outside

Bytecodes are given as turns of a plain loop, because each Python compiles the same source into others. The processor's
instructions are for whoever counts them (test_hot_paths.py, by Valgrind): the paths are called with N and 2 N units,
and so are their floors, and their counts are separated by `os.getppid()`, which calls a function of that name in libc.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import tracemalloc
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import av
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.clips import ClipConfig, ClipCutter
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.interpreter import open_interpreter
from edgeaudio.recognise.manifest import MODEL_FILE_NAME, Manifest
from edgeaudio.recognise.model import Model, load_model
from edgeaudio.recognise.pipeline import ModelBinding, SourcePipeline
from edgeaudio.types import Block, Samples

N = 8  # units
Work = Callable[[int], object]  # of so many units

_RATE, _PERIOD, _HOP = 16_000, 4_000, 160
_MFCC = FeatureConfig("mfcc", _RATE, n_fft=512, hop_length=_HOP, n_mels=40, win_length=400, n_mfcc=13)
_START = datetime(2026, 1, 1, tzinfo=UTC)
_LIVE_RATE, _LIVE_BLOCK = 48_000, 12_000
_PACKET_BYTES = 4096  # of FFmpeg's WAV reader


class _Constant:
    """A model whose scores cost nothing."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self._scores = np.zeros(len(manifest.reported), np.float32)

    def scores(self, values: Samples) -> Samples:
        del values
        return self._scores


class _NoInterpreter:
    """An interpreter that has the tensors of another, and computes nothing."""

    def __init__(self, interpreter: Any) -> None:
        interpreter.allocate_tensors()
        self.get_input_details, self.get_output_details = interpreter.get_input_details, interpreter.get_output_details
        (output,) = interpreter.get_output_details()
        self._output = np.zeros(output["shape"], output["dtype"])

    def set_tensor(self, index: int, values: object) -> None:
        pass

    def invoke(self) -> None:
        pass

    def get_tensor(self, _: int) -> object:
        return self._output


class Paths:
    """Each path and its floor. Units: a clip with 25 new frames, a second of sound, a call, 0.7 s of a recording.

    The call is that of a model whose interpreter computes nothing: what the interpreter takes differs between runtimes
    and processors, and would hide the rest.
    """

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self._signal = (0.1 * rng.standard_normal(_PERIOD * (2 * N + 4))).astype(np.float32)
        self._live = (0.1 * rng.standard_normal(_LIVE_BLOCK)).astype(np.float32)
        directory = find_model("home")
        self._model = load_model(directory)
        manifest = self._model.manifest
        assert manifest.features is not None
        self._features = manifest.features
        self._values = rng.standard_normal((self._features.n_frames(manifest.clip.n_samples), 80)).astype(np.float32)
        file = directory / MODEL_FILE_NAME
        self._alone = Model(manifest, file, _NoInterpreter(open_interpreter(file, file.read_bytes())))
        self._files = {n: _recording(folder / f"{n}.wav", n) for n in (2, N, 2 * N)}
        self.works: dict[str, tuple[Work, Work]] = {
            "clips with features": (self._clips, self._ffts),
            "pipeline of a source": (self._pipeline, self._live_ffts),
            "model call": (self._scores, self._rounded),
            "blocks of a recording": (self._blocks, self._decode),
        }

    def _clips(self, n: int) -> None:
        cutter = ClipCutter(ClipConfig(_RATE, _RATE, _PERIOD / _RATE, _MFCC), gate_dbfs=-200)
        for start in range(0, _PERIOD * (n + 3), _PERIOD):
            for _ in cutter.feed(self._signal[start : start + _PERIOD]):
                pass

    def _ffts(self, n: int) -> None:
        frames = sliding_window_view(self._signal, _MFCC.n_fft)[::_HOP]
        for number in range(n):
            np.fft.rfft(frames[25 * number : 25 * (number + 1)], axis=1)

    def _pipeline(self, n: int) -> None:
        model = _Constant(self._model.manifest)
        pipeline = SourcePipeline("camera", [ModelBinding(model)], namespace=UUID(int=0))
        for number in range(4 * (n + 4)):  # the first clip takes 4 s
            at = _START + timedelta(seconds=number / 4)
            for _ in pipeline.feed(Block("camera", 0, number * _LIVE_BLOCK, at, _LIVE_RATE, self._live)):
                pass

    def _live_ffts(self, n: int) -> None:
        config = self._features
        signal = np.resize(self._live, config.sample_rate + config.frame_length)
        frames = sliding_window_view(signal, config.frame_length)[:: config.hop_length]
        for _ in range(n):
            np.fft.rfft(frames, axis=1)

    def _scores(self, n: int) -> None:
        for _ in range(n):
            self._alone.scores(self._values)

    def _rounded(self, n: int) -> None:
        for _ in range(n):
            np.rint(self._values).astype(np.int8)

    def _blocks(self, n: int) -> None:
        config = SourceConfig(name="camera", url=str(self._files[n]))
        with open_source(config, threading.Event(), media_start=_START) as connection:
            for _ in connection:
                pass

    def _decode(self, n: int) -> None:
        with av.open(str(self._files[n])) as container:
            for frame in container.decode(audio=0):
                frame.to_ndarray()


def _recording(path: Path, n: int) -> Path:
    """Write a WAV file of 16 n packets."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_LIVE_RATE)
        file.writeframes(bytes(_PACKET_BYTES * 16 * n))
    return path


def plain_loop(n: int) -> None:
    """Do n times what Python code mostly does: call, compare, get an attribute, add, append."""
    found: list[int] = []
    for number in range(n):
        _turn(found, number)


def _turn(found: list[int], number: int) -> None:
    if number % 2 == 0:
        found.append(number + len(found))


@contextmanager
def _counted(counts: list[int]) -> Iterator[None]:
    """Count the bytecodes of this thread, into the list."""
    total = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal total
        frame.f_trace_opcodes = True
        total += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)
        counts.append(total)


def bytecodes_of(work: Work) -> float:
    """Return the bytecodes of one unit."""
    counts: list[int] = []
    for n in (N, N, 2 * N):  # Python 3.12 begins to tell the bytecodes of a function at its second call
        with _counted(counts):
            work(n)
    return (counts[2] - counts[1]) / N


def peak_bytes_of(work: Work) -> int:
    """Return the most memory that is in use at once during a few units, beyond what was in use before."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    work(N)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak - before


def main(way: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(Path(folder)).works
        for works in paths.values():
            for work in works:
                work(2)  # what is computed once: windows, filters
        if way == "marks":
            for works in paths.values():
                for work in works:
                    for n in (N, 2 * N):
                        os.getppid()
                        work(n)
            os.getppid()
            return
        turn = bytecodes_of(plain_loop)
        found = {
            name: {"turns": bytecodes_of(ours) / turn, "peak_bytes": peak_bytes_of(ours)}
            for name, (ours, _) in paths.items()
        }
        print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
