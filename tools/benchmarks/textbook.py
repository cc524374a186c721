"""The textbook pipeline, a program: `python -m tools.benchmarks.textbook URL N`.

An ffmpeg child a stream, librosa's features of the whole clip every 0.5 s, and the interpreter in Python. All streams
share one process and one interpreter; a process a camera, as scripts have it, would need N times the memory.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import Any

import librosa
import numpy as np

from edgeaudio.recognise.bundled_models import DEFAULT_MODEL, find_model
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME, Manifest
from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.types import Samples
from tools.benchmarks.ffmpeg_pipe import pieces_of
from tools.benchmarks.peer_interpreter import open_model, output_of
from tools.benchmarks.stream_program import Tally, serve

PERIOD_S = 0.5


def features_of(clip: Samples, manifest: Manifest) -> Samples:
    """Return the log-mel features `(n_frames, n_mels)` that the model `home` wants."""
    config = manifest.features
    assert config is not None
    mels = librosa.feature.melspectrogram(
        y=clip,
        sr=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        n_mels=config.n_mels,
        fmin=config.fmin,
        htk=config.mel_scale == "htk",
        center=config.center,
    )
    logs = librosa.power_to_db(mels, ref=np.max, top_db=config.top_db).T
    values: Samples = np.clip((logs - config.mean[0]) / config.std[0], config.clip_min, config.clip_max).astype(
        np.float32
    )
    return values


def hear(url: str, manifest: Manifest, interpreter: Any, lock: threading.Lock, tally: Tally) -> None:  # noqa: ANN401 (no types)
    """Score one stream every 0.5 s."""
    clip = np.zeros(manifest.clip.n_samples, np.float32)
    for piece in pieces_of(url, manifest.clip.sample_rate, round(PERIOD_S * manifest.clip.sample_rate)):
        clip = np.concatenate([clip[len(piece) :], piece])
        tally.heard_s += PERIOD_S
        if tally.heard_s * manifest.clip.sample_rate < len(clip):
            continue
        values = features_of(clip, manifest)
        with lock:
            output_of(interpreter, values)
        tally.scored += 1


def main() -> None:
    """Listen until the input ends."""
    url, n_streams = sys.argv[1:]
    folder = find_model(DEFAULT_MODEL)
    manifest, interpreter = read_manifest(folder / FILE_NAME), open_model(folder / MODEL_FILE_NAME)
    serve(int(n_streams), partial(hear, url, manifest, interpreter, threading.Lock()))


if __name__ == "__main__":
    main()
