"""A first manifest for a `.tflite` file: from its tensors and metadata, the user's options, and guesses.

Owns: the order of the guesses, and those of rates, waveforms and activations.
Does not know: the terminal, or where the model directory is written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeaudio.commands.model.frames import (
    KINDS,
    MOST_COEFFICIENTS,
    PRESETS,
    SPECTRUM_SIZES,
    guess_features,
    is_teachable,
)
from edgeaudio.commands.model.frontend import take_frontend
from edgeaudio.commands.model.init_options import InitOptions, Work, check_settings, settings_table
from edgeaudio.commands.model.metadata import take_input, take_model, take_output
from edgeaudio.commands.model.outputs import is_autoencoder, name_outputs
from edgeaudio.commands.model.shape import OPEN, closed, waveform_axes
from edgeaudio.commands.model.streaming import take_state, take_steps
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.features import features
from edgeaudio.recognise.interpreter import ModelError
from edgeaudio.recognise.manifest import FILE_NAME, MIN_PERIOD_MS, USUAL_PERIOD_MS, Manifest
from edgeaudio.recognise.manifest_file import parse_manifest
from edgeaudio.recognise.model import Model, build_model
from edgeaudio.recognise.tflite_file import Tensor, packed_files, read_model_metadata, read_tensors
from edgeaudio.recognise.tflite_metadata import TensorMetadata
from edgeaudio.slugs import slugs
from edgeaudio.types import Samples

DEFAULT_RATE_HZ = 16000
YAMNET_RATE_HZ, YAMNET_SAMPLES = 16000, 15600  # its patch of 0.96 s, to the end of the last frame
TEACHABLE_RATE_HZ, TEACHABLE_SAMPLES = 44100, 44032
FEWEST_WAVEFORM_SAMPLES = 4000  # a shorter row of numbers may be features
ANOMALY, LEAST_ERROR = "anomaly", 1e-6  # of an autoencoder: its one label, and the smallest error
MOST_CHANNELS = 8  # a second length up to this, beside that many samples, is channels of sound


@dataclass(slots=True)
class Draft:
    """A model with its first manifest."""

    model: Model
    guesses: list[str]  # a line each: the guess, and the option that overrides it


def draft(file: Path, content: bytes, options: InitOptions, frontend: bytes = b"") -> Draft:
    """Return the model with a manifest that fits it. Raises EdgeaudioError, in one line, if an option is needed."""
    if options.preset and options.preset not in PRESETS:
        raise EdgeaudioError(f"--preset {options.preset}: there are {', '.join(PRESETS)}")
    inputs, outputs = read_tensors(file, content)
    metadata = read_model_metadata(file, content)
    work = Work(file, options, settings_table(options.settings))
    check_settings(work.table)
    _name(work, content)
    tensor = closed(work, _chosen_input(work, inputs))
    of_model = tensor
    if options.frontend:
        tensor = take_frontend(work, frontend, tensor)
    is_stateful = take_state(work, content, tensor)
    of_input = metadata.input(work.section("input").get("index", 0))
    kind = _kind(work, tensor, of_input)
    _rate(work, tensor, of_input, kind)
    if is_stateful:
        take_steps(work, tensor, kind)
    elif kind == "waveform":
        _waveform(work, tensor)
    else:
        guess_features(work, tensor)
    if not is_stateful:
        _period(work)
    take_input(work, of_input)
    if tensor.dtype.startswith(("int", "uint")) and not tensor.scale:
        _full_scale(work, tensor.dtype)
    take_model(work, metadata)
    packed = packed_files(content)
    to_measure = False
    if is_autoencoder(work, of_model, outputs, packed):
        work.table.setdefault("labels", [ANOMALY])
        to_measure = "half_error" not in work.section("output")
        work.section("output").setdefault("half_error", 1.0)  # replaced when the model has run
    take_output(work, metadata.output(name_outputs(work, outputs, metadata, packed)))
    manifest = parse_manifest(work.table, file.parent / FILE_NAME)
    slugs(manifest.reported, str(file))
    return _with_output(work, manifest, (content, frontend), to_measure=to_measure)


def input_of(manifest: Manifest, samples: Samples) -> Samples:
    """Return a model's input for a clip `(n_samples,)`: the samples, or their features `(n_frames, n_features)`.

    Of a stateful model, those of whole steps.
    """
    values = samples if manifest.features is None else features(samples, manifest.features)
    return values[: manifest.values_shape[0]]


def _name(work: Work, content: bytes) -> None:
    slug = re.sub(r"[^a-z0-9]+", "-", work.file.stem.lower()).strip("-") or "model"
    work.table.setdefault("name", work.options.name or slug)
    work.table.setdefault("version", "1")
    work.table["sha256"] = hashlib.sha256(content).hexdigest()


def _chosen_input(work: Work, tensors: Sequence[Tensor]) -> Tensor:
    index = work.section("input").get("index", 0)
    if len(tensors) > 1:
        names = ", ".join(f"{i}: {tensor.name} {list(tensor.shape)}" for i, tensor in enumerate(tensors))
        work.guess("input", "index", index, f"the first of {len(tensors)} ({names}); the others stay at 0")
    if type(index) is not int or not 0 <= index < len(tensors):
        raise EdgeaudioError(f"{work.file}: has {len(tensors)} inputs; input.index cannot be {index}")
    return tensors[index]


def _rate(work: Work, tensor: Tensor, metadata: TensorMetadata, kind: str) -> None:
    """Fill in the sample rate: of the options, else of the metadata, of the preset, or the usual one."""
    clip, options = work.section("clip"), work.options
    if metadata.channels > 1:
        raise EdgeaudioError(
            f"{work.file}: takes {metadata.channels} channels, by its metadata; only models of one can be run"
        )
    if options.preset and options.preset != "yamnet" and kind == "waveform":
        raise EdgeaudioError(f"--preset {options.preset}: is about features, and the model's input is a waveform")
    rate = clip.pop("sample_rate", 0) or options.sample_rate
    if rate and metadata.sample_rate and rate != metadata.sample_rate:
        work.guesses.append(f"clip.sample_rate = {rate}: as you say; the file's metadata says {metadata.sample_rate}")
    rate = rate or metadata.sample_rate or (YAMNET_RATE_HZ if options.preset == "yamnet" else 0)
    if rate:
        clip["sample_rate"] = rate
    elif tensor.shape[-1:] == (TEACHABLE_SAMPLES,) or options.preset == "teachable-machine" or is_teachable(tensor):
        as_there = f"{'x'.join(str(n) for n in tensor.shape if n != 1)} is what Teachable Machine's models take"
        work.guess("clip", "sample_rate", TEACHABLE_RATE_HZ, f"{as_there}; else say --sample-rate")
    else:
        work.guess("clip", "sample_rate", DEFAULT_RATE_HZ, "the most usual; else say --sample-rate")


def _kind(work: Work, tensor: Tensor, metadata: TensorMetadata) -> Any:  # noqa: ANN401 (the manifest checks it)
    """Return waveform, spectrogram, log_mel or mfcc: of the options, else guessed from the tensor's shape."""
    if kind := work.options.kind or KINDS.get(work.options.preset):
        work.section("input").setdefault("kind", kind)
    long = [n for n in tensor.shape if n != 1]
    if len(long) > 1:
        fewest = min((n for n in long if n != OPEN), default=0)
        likely = "mfcc" if fewest <= MOST_COEFFICIENTS else "log_mel"
        if _n_channels(tensor) > 1:
            likely = "waveform"
        elif is_teachable(tensor) or SPECTRUM_SIZES.intersection(long):
            likely = "spectrogram"
        return work.guess("input", "kind", likely, f"its input is {list(tensor.shape)}; else say --kind")
    if metadata.sample_rate and len(long) == 1:
        return work.section("input").setdefault("kind", "waveform")  # the metadata has it as sound
    if not long or long[0] == OPEN or long[0] >= FEWEST_WAVEFORM_SAMPLES:
        return work.guess("input", "kind", "waveform", f"its input is {list(tensor.shape)}; else say --kind")
    if "kind" not in work.section("input"):
        raise EdgeaudioError(
            f"{work.file}: its input is {list(tensor.shape)}, a short waveform or features in one row: say --kind, "
            "and for features also --set features.n_mels=N (or n_mfcc, n_bins)"
        )
    return work.section("input")["kind"]


def _n_channels(tensor: Tensor) -> int:
    """Return how many channels of sound a tensor seems to hold; 1 if its shape is not that of sound."""
    long = sorted(n for n in tensor.shape if n != 1)
    looks_so = len(long) == 2 and long[0] <= MOST_CHANNELS and long[1] >= FEWEST_WAVEFORM_SAMPLES
    return long[0] if looks_so and long[0] != OPEN else 1


def _period(work: Work) -> None:
    """Fill in a shorter period for clips shorter than the usual one, so that no sound lies between two of them."""
    clip = work.section("clip")
    length_ms = 1000 * clip["n_samples"] // clip["sample_rate"]
    if length_ms < USUAL_PERIOD_MS:
        clip.setdefault("period_ms", max(MIN_PERIOD_MS, length_ms // 2))


def _full_scale(work: Work, dtype: str) -> None:
    """Fill in scale and offset that map -1 to 1 to the whole range of an integer type."""
    limits, why = np.iinfo(dtype), f"the tensor is {dtype} without a quantisation"
    middle = 0 if limits.min else (limits.max + 1) // 2
    work.guess("input", "scale", float(limits.max + 1 - middle), why)
    if middle:
        work.guess("input", "offset", float(middle), why)


def _waveform(work: Work, tensor: Tensor) -> None:
    clip, shape = work.section("clip"), tensor.shape
    if _n_channels(tensor) > 1:
        raise EdgeaudioError(
            f"{work.file}: its input is {list(shape)}, {_n_channels(tensor)} channels of a waveform; only models "
            "of one can be run"
        )
    if sum(n != 1 for n in shape) > 1:
        raise EdgeaudioError(f"{work.file}: its input is {list(shape)}, which is no waveform; say another --kind")
    length, axes = waveform_axes(tensor)
    fixed = length if length > 1 else 0
    rate, clip_s = clip["sample_rate"], work.options.clip_s
    if fixed and clip_s and round(clip_s * rate) != fixed:
        raise EdgeaudioError(f"--clip-s {clip_s:g}: the input takes {fixed} samples, {fixed / rate:g} s at {rate} Hz")
    if fixed:
        clip.setdefault("n_samples", fixed)
    elif clip_s:
        clip.setdefault("n_samples", round(clip_s * rate))
    elif work.options.preset == "yamnet":
        clip.setdefault("n_samples", YAMNET_SAMPLES)
    else:
        work.guess("clip", "n_samples", rate, "a second; the model takes any length; else say --clip-s")
    work.section("input").setdefault("axes", axes)


def _with_output(work: Work, manifest: Manifest, contents: tuple[bytes, bytes], *, to_measure: bool) -> Draft:
    """Run the model, and fill in its activation, or the error of an autoencoder, from its outputs."""
    model = build_model(manifest, work.file, *contents)
    section = work.section("output")
    if "activation" in section:
        return Draft(model, work.guesses)
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, manifest.clip.n_samples).astype(np.float32)
    outputs = np.concatenate([model.outputs(input_of(manifest, samples)) for samples in (clip, clip * 0)])
    if not np.isfinite(outputs).all():
        raise ModelError(
            work.file, "gives numbers that are not finite for plain noise; its input is wrong, or it is broken"
        )
    if to_measure:
        del section["half_error"]
        error = max(float(f"{outputs[0, 0]:.4g}"), LEAST_ERROR)
        work.guess(
            "output", "half_error", error, "its error for plain noise; say one that your usual sound stays under"
        )
    elif manifest.output.kind == "scores" and not -0.01 <= outputs.min() <= outputs.max() <= 1.01:
        work.guess("output", "activation", "softmax", "its outputs leave 0 to 1; if labels go together, say sigmoid")
    else:
        return Draft(model, work.guesses)
    manifest = parse_manifest(work.table, work.file.parent / FILE_NAME)
    return Draft(build_model(manifest, work.file, *contents), work.guesses)
