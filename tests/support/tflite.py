"""Model directories for tests: a committed test model, and a manifest that fits it.

The test models are made by tests/recognise/models/make.py and run on every TFLite runtime.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME, ClipSection, InputSection, Manifest
from edgeaudio.recognise.manifest_file import manifest_toml
from edgeaudio.recognise.model import Model, load_model

# the TFLite runtime prints this on standard error, once a process, and has no switch for it
RUNTIME_LINE = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
MODELS = Path(__file__).parents[1] / "recognise" / "models"
LABELS = ("first", "second", "third")  # each the mean of a third of the clip, or of one mel
WAVEFORM = ClipSection(sample_rate=1200, n_samples=120, period_ms=50)
SPECTRUM = ClipSection(sample_rate=8000, n_samples=800, period_ms=50)
MELS = FeatureConfig("log_mel", 8000, n_fft=64, hop_length=32, n_mels=3, log_floor=1e-10)
# of the stateful model, in the shape of microWakeWord's: half of the mean of three frames, and half of the score before
WORD = ClipSection(sample_rate=16000, n_samples=8000)
MICRO = FeatureConfig(
    "micro_frontend", 16000, n_fft=512, win_length=480, win_align="start", hop_length=160, n_mels=40, fmin=125.0,
    fmax=7500.0,
)  # fmt: skip


def without_runtime_line(stderr: str) -> str:
    """Return what a program wrote on standard error, less the TFLite runtime's own line."""
    return "".join(line for line in stderr.splitlines(keepends=True) if line.rstrip("\r\n") != RUNTIME_LINE)


def content_of(name: str) -> bytes:
    """Return the bytes of a test model."""
    return (MODELS / f"{name}.tflite").read_bytes()


def manifest_of(test_model: str, /, **changes: Any) -> Manifest:
    """Return a manifest that fits the test model, with changes."""
    values: dict[str, Any] = {
        "name": "test",
        "version": "1",
        "labels": LABELS,
        "sha256": hashlib.sha256(content_of(test_model)).hexdigest(),
        "clip": WAVEFORM,
        "input": InputSection("waveform"),
    }
    if test_model.startswith("features"):
        order: Mapping[str, Any] = {
            "features_time_major": ("batch", "time", "feature", "channel"),
            "features_flat": ("batch", "time", "feature"),
            "features_mel_major": ("batch", "channel", "feature", "time"),
        }
        # decibels from -100 to 0 become 0 to 1
        section = InputSection("log_mel", order[test_model], scale=0.01, offset=1.0)
        values |= {"clip": SPECTRUM, "features": MELS, "input": section}
    if test_model == "wake_word":
        section = InputSection("micro_frontend", ("batch", "time", "feature"), scale=10 / 256, stateful=True, step=3)
        values |= {"labels": ("wake",), "clip": WORD, "features": MICRO, "input": section}
    return Manifest(**values | changes)


def model_directory(parent: Path, test_model: str = "waveform", /, **changes: Any) -> Path:
    """Write a directory `parent/<manifest's name>` with `model.tflite` and `model.toml`."""
    manifest = manifest_of(test_model, **changes)
    directory = parent / manifest.name
    directory.mkdir()
    (directory / MODEL_FILE_NAME).write_bytes(content_of(test_model))
    (directory / FILE_NAME).write_text(manifest_toml(manifest))
    return directory


def loaded_model(directory: Path, **options: Any) -> Model:
    """Load a model that is not fused."""
    model = load_model(directory, **options)
    assert isinstance(model, Model)
    return model


def model_file(name: str, file: str = "some model.tflite", **packed: str) -> Path:
    """Write a model's file alone, with texts packed into it as TFLite's metadata packs labels."""
    path = Path(file)
    path.write_bytes(content_of(name))
    if packed:
        with zipfile.ZipFile(path, "a") as archive:
            for member, text in packed.items():
                archive.writestr(member, text)
    return path
