"""A first manifest for a `.tflite` file: what its tensors tell, what the user says, and what had to be guessed.

Owns: the guesses, their words, and the feature conventions that have a name.
Does not know: the terminal, or where the model directory goes.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from edgeaudio.commands.model_labels import find_labels
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.manifest import FILE_NAME, Manifest, parse_manifest
from edgeaudio.recognise.model import Model, ModelError, build_model
from edgeaudio.recognise.tensors import Tensor, packed_texts, read_tensors
from edgeaudio.recognise.types import EdgeaudioError

EPSILON = 1.1920928955078125e-07  # of float32

# How each library computes features where it is not told otherwise; the tests compare each with the library itself.
PRESETS: dict[str, dict[str, Any]] = {
    "librosa": {"center": True, "top_db": 80.0},
    "torchaudio": {"center": True, "pad_mode": "reflect", "mel_scale": "htk", "norm": "none", "top_db": 80.0},
    "tf-signal": {
        "win_align": "start", "power": 1, "mel_scale": "htk", "norm": "none", "mel_slopes": "mel", "log": "ln",
        "log_floor": 0.0, "log_offset": 1e-6, "dct_norm": "htk",
    },
    "yamnet": {
        "win_align": "start", "power": 1, "mel_scale": "htk", "norm": "none", "mel_slopes": "mel", "log": "ln",
        "log_floor": 0.0, "log_offset": 1e-3, "fmin": 125.0, "fmax": 7500.0,
    },
    "kaldi": {
        "win_align": "start", "sample_scale": 32768.0, "window": "povey", "periodic": False, "remove_dc": True,
        "preemphasis": 0.97, "preemphasis_over": "frame", "fmin": 20.0, "mel_scale": "htk", "norm": "none",
        "mel_slopes": "mel", "log": "ln", "log_floor": EPSILON, "lifter": 22.0, "lifter_from": 0,
    },
    "psf": {
        "win_align": "start", "sample_scale": 32768.0, "window": "rectangular", "preemphasis": 0.97, "mel_scale": "htk",
        "norm": "none", "mel_slopes": "bin", "log": "ln", "log_floor": 2.220446049250313e-16, "lifter": 22.0,
        "lifter_from": 0, "c0": "spectrum_energy",
    },
}  # fmt: skip
DEFAULT_RATE_HZ = 16000
FEWEST_WAVEFORM_SAMPLES = 4000  # a shorter row of numbers may as well be features
MOST_COEFFICIENTS = 20  # features a frame: up to here they are taken for MFCC, above for mels
USUAL_MELS = 40
# window and hop in ms, most usual first
USUAL_FRAMES_MS = ((25, 10), (30, 20), (40, 20), (30, 10), (32, 16), (20, 10), (32, 8), (64, 32), (128, 32), (20, 20))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says of a model."""

    name: str = ""
    kind: str = ""
    preset: str = ""
    sample_rate: int = 0
    clip_s: float = 0.0
    labels: Path | None = None
    settings: Sequence[str] = ()  # "features.n_fft=512"


@dataclass(slots=True)
class Draft:
    """A model with its first manifest."""

    model: Model
    guesses: list[str]  # a line each: what was assumed, and how to say otherwise


@dataclass(slots=True)
class _Work:
    """The manifest's table while it grows."""

    file: Path
    wishes: Wishes
    table: dict[str, Any]
    guesses: list[str] = field(default_factory=list)

    def section(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.table.setdefault(name, {})
        return found

    def guess(self, section: str, key: str, value: Any, said_by: str) -> Any:  # noqa: ANN401 (values of a manifest)
        """The value that is said for a key, else this one."""
        inner = self.section(section)
        if key not in inner:
            inner[key] = value
            self.guesses.append(f"{section}.{key} = {_shown(value)}: {said_by}")
        return inner[key]


def draft(file: Path, content: bytes, wishes: Wishes) -> Draft:
    """A manifest that fits the model, so far as can be told. Raises EdgeaudioError in one line where it cannot."""
    if wishes.preset and wishes.preset not in PRESETS:
        raise EdgeaudioError(f"--preset {wishes.preset}: there are {', '.join(PRESETS)}")
    inputs, outputs = read_tensors(file, content)
    work = _Work(file, wishes, settings_table(wishes.settings))
    _name(work, content)
    tensor = _chosen(work, inputs, "input")
    kind = _kind(work, tensor)
    rate = work.section("clip").get("sample_rate") or wishes.sample_rate
    work.section("clip").pop("sample_rate", None)
    if rate:
        work.section("clip")["sample_rate"] = rate
    else:
        work.guess("clip", "sample_rate", DEFAULT_RATE_HZ, "the most usual; else say --sample-rate")
    if kind == "waveform":
        _waveform(work, tensor)
    else:
        _features(work, tensor)
    if tensor.dtype.startswith(("int", "uint")) and not tensor.scale:
        full_scale = float(np.iinfo(tensor.dtype).max + 1)
        work.guess("input", "scale", full_scale, f"the tensor is {tensor.dtype} without a quantisation")
    _labels(work, content, outputs)
    manifest = parse_manifest(work.table, file.parent / FILE_NAME)
    return _with_activation(work, manifest, content)


def settings_table(settings: Sequence[str]) -> dict[str, Any]:
    """`key=value` pairs as a nested table; a value that is not TOML is text. Raises EdgeaudioError."""
    table: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not re.fullmatch(r"[a-z0-9_]+(\.[^.]+)*", key):
            raise EdgeaudioError(f"--set {setting}: is not KEY=VALUE, as in --set features.n_fft=512")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except ValueError:
            value = text
        *path, last = key.split(".")
        inner = table
        for name in path:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise EdgeaudioError(f"--set {setting}: {name} has a value already")
        inner[last] = value
    return table


def _name(work: _Work, content: bytes) -> None:
    slug = re.sub(r"[^a-z0-9]+", "-", work.file.stem.lower()).strip("-") or "model"
    work.table.setdefault("name", work.wishes.name or slug)
    work.table.setdefault("version", "1")
    work.table["sha256"] = hashlib.sha256(content).hexdigest()


def _chosen(work: _Work, tensors: Sequence[Tensor], section: str) -> Tensor:
    index = work.section(section).get("index", 0)
    if len(tensors) > 1:
        names = ", ".join(f"{i}: {tensor.name} {list(tensor.shape)}" for i, tensor in enumerate(tensors))
        work.guess(section, "index", index, f"the first of {len(tensors)} ({names})")
    if not isinstance(index, int) or not 0 <= index < len(tensors):
        raise EdgeaudioError(f"{work.file}: has {len(tensors)} {section}s; {section}.index cannot be {index}")
    return tensors[index]


def _kind(work: _Work, tensor: Tensor) -> Any:  # noqa: ANN401 (the manifest says whether it is one)
    """waveform, log_mel or mfcc; from the tensor's shape where the user does not say."""
    if work.wishes.kind:
        work.section("input")["kind"] = work.wishes.kind
    long = [n for n in tensor.shape if n != 1]
    if len(long) > 1:
        fewest = min(n for n in long if n != -1)
        likely = "mfcc" if fewest <= MOST_COEFFICIENTS else "log_mel"
        return work.guess("input", "kind", likely, f"its input is {list(tensor.shape)}; else say --kind")
    if not long or long[0] == -1 or long[0] >= FEWEST_WAVEFORM_SAMPLES:
        return work.guess("input", "kind", "waveform", f"its input is {list(tensor.shape)}; else say --kind")
    if "kind" not in work.section("input"):
        raise EdgeaudioError(
            f"{work.file}: its input is {list(tensor.shape)}, a short waveform or features in one row: say --kind, "
            "and for features also --set features.n_mels=N (or n_mfcc)"
        )
    return work.section("input")["kind"]


def _waveform(work: _Work, tensor: Tensor) -> None:
    clip, shape = work.section("clip"), tensor.shape
    longest = max(range(len(shape)), key=lambda i: (shape[i] == -1, shape[i])) if shape else 0
    fixed = shape[longest] if shape and shape[longest] > 1 else 0
    if fixed:
        clip.setdefault("n_samples", fixed)
    elif work.wishes.clip_s:
        clip.setdefault("n_samples", round(work.wishes.clip_s * clip["sample_rate"]))
    else:
        work.guess("clip", "n_samples", clip["sample_rate"], "a second; the model takes any length; else say --clip-s")
    others = iter(["batch"] if longest else [])
    work.section("input").setdefault(
        "axes", ["time" if i == longest else next(others, "channel") for i in range(len(shape))]
    )


def _features(work: _Work, tensor: Tensor) -> None:
    said = work.section("features")
    if work.wishes.preset:
        work.table["features"] = said = {**PRESETS[work.wishes.preset], **said}
    elif not said:
        work.guesses.append('features: as librosa computes them; else say --preset, as in "--preset tf-signal"')
        work.table["features"] = said = dict(PRESETS["librosa"])
    count = "n_mfcc" if work.section("input")["kind"] == "mfcc" else "n_mels"
    n_frames, n_features = _frames_and_features(work, tensor, said.get(count))
    said[count] = n_features
    if count == "n_mfcc":
        work.guess("features", "n_mels", max(USUAL_MELS, n_features), "the tensor does not tell")
    _frame_sizes(work, n_frames)


def _frames_and_features(work: _Work, tensor: Tensor, said: int | None) -> tuple[int, int]:
    """Frames in the input, -1 where they are open, and features a frame; sets the axes."""
    shape, axes = tensor.shape, work.section("input")
    long = [i for i, n in enumerate(shape) if n != 1]
    if len(long) == 1 and said and shape[long[0]] % said == 0:  # all in one row
        axes.setdefault("axes", ["batch", "time", "feature"])
        return prod(shape) // said, said
    if len(long) != 2:
        raise EdgeaudioError(
            f"{work.file}: its input is {list(shape)}, which is no picture of frames and features; say how many features "
            "a frame has with --set features.n_mels=N (or n_mfcc)"
        )
    first, second = long
    time = second if said == shape[first] != shape[second] or shape[second] == -1 else first
    names = ["channel"] * len(shape)
    names[time], names[second if time == first else first] = "time", "feature"
    if names[0] == "channel":
        names[0] = "batch"
    if "axes" not in axes and said is None:
        work.guesses.append(
            f"input.axes = {names}: its input is {list(shape)}, {shape[time]} frames of {shape[first + second - time]}; "
            f"the other way round, say --set features.n_mels={shape[time]} (or n_mfcc)"
        )
    axes.setdefault("axes", names)
    return shape[time], shape[first + second - time]


def _frame_sizes(work: _Work, n_frames: int) -> None:
    """Window, hop and FFT, and the length of the clip that gives that many frames."""
    said, clip = work.section("features"), work.section("clip")
    rate = clip["sample_rate"]
    length_s = work.wishes.clip_s or (1.0 if n_frames == -1 else 0.0)
    n_samples = clip.get("n_samples") or round(length_s * rate)
    choices = [_sizes(said, rate, window_ms, hop_ms) for window_ms, hop_ms in USUAL_FRAMES_MS]
    configs = [_config(work, choice) for choice in choices]
    fitting = (
        [i for i, config in enumerate(configs) if n_frames in (-1, config.n_frames(n_samples))] if n_samples else [0]
    )
    if not fitting:
        raise EdgeaudioError(
            f"{work.file}: no usual window makes {n_frames} frames of {n_samples / rate:g} s; say which with --set "
            "features.n_fft=N --set features.win_length=N --set features.hop_length=N"
        )
    for key, value in choices[fitting[0]].items():
        work.guess("features", key, value, f"usual; else say --set features.{key}=N")
    if not n_samples:
        config = configs[fitting[0]]
        least = (n_frames - 1) * config.hop_length + config.frame_length - 2 * config.padding - config.pad_end
        tenth = -(-least // (rate // 10)) * (rate // 10)  # a clip of whole tenths of a second, if that fits
        n_samples = tenth if config.n_frames(tenth) == n_frames else least
        work.guess("clip", "n_samples", n_samples, f"{n_frames} frames, {n_samples / rate:g} s; else say --clip-s")
    clip["n_samples"] = n_samples


def _sizes(said: Mapping[str, Any], rate: int, window_ms: int, hop_ms: int) -> dict[str, int]:
    window = said.get("win_length") or said.get("n_fft") or rate * window_ms // 1000
    return {
        "n_fft": said.get("n_fft") or 1 << (window - 1).bit_length(),
        "win_length": window,
        "hop_length": said.get("hop_length") or rate * hop_ms // 1000,
    }


def _config(work: _Work, sizes: Mapping[str, int]) -> FeatureConfig:
    """The features that would come of those sizes. Raises ManifestError."""
    table = {
        **work.table,
        "labels": ["?"],
        "features": {**work.section("features"), **sizes},
        "clip": {
            "sample_rate": work.section("clip")["sample_rate"],
            "n_samples": 60 * work.section("clip")["sample_rate"],
        },
        "groups": {},
        "thresholds": {},
    }
    features = parse_manifest(table, work.file.parent / FILE_NAME).features
    if features is None:
        raise EdgeaudioError(f"{work.file}: input.kind is not one that has features")
    return features


def _labels(work: _Work, content: bytes, outputs: Sequence[Tensor]) -> None:
    sizes = [tensor.shape[-1] if tensor.shape else 0 for tensor in outputs]
    if "labels" not in work.table:
        wanted = [sizes[work.section("output")["index"]]] if "index" in work.section("output") else sizes
        work.table["labels"] = find_labels(work.file, packed_texts(content), work.wishes.labels, wanted)
    n_labels = len(work.table["labels"])
    if len(outputs) > 1 and n_labels in sizes:
        said_by = f"the one of {len(outputs)} outputs that gives {n_labels} scores"
        work.guess("output", "index", sizes.index(n_labels), said_by)
    _chosen(work, outputs, "output")


def _with_activation(work: _Work, manifest: Manifest, content: bytes) -> Draft:
    """The model, and what its outputs look like: scores already, or not."""
    model = build_model(manifest, work.file, content)
    if "activation" in work.section("output"):
        return Draft(model, work.guesses)
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, manifest.clip.n_samples).astype(np.float32)
    outputs = np.concatenate([model.outputs(model.input_of(clip)), model.outputs(model.input_of(clip * 0))])
    if not np.isfinite(outputs).all():
        raise ModelError(
            work.file, "gives numbers that are not finite for plain noise; its input is wrong, or it is broken"
        )
    if outputs.min() >= -0.01 and outputs.max() <= 1.01:
        return Draft(model, work.guesses)
    work.guess("output", "activation", "softmax", "its outputs leave 0 to 1; if labels go together, say sigmoid")
    manifest = parse_manifest(work.table, work.file.parent / FILE_NAME)
    return Draft(build_model(manifest, work.file, content), work.guesses)


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
