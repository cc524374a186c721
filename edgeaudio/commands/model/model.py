"""`edgeaudio model init`, `inspect` and `verify`.

Owns: what is printed of a model, and the writing of its directory.
Does not know: how a manifest is guessed (draft.py), or how models run.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from edgeaudio.commands.model.draft import draft, input_of
from edgeaudio.commands.model.init_options import InitOptions
from edgeaudio.commands.model.labels import read_labels
from edgeaudio.console import columns, some_of, table
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.fused_model import FusedModel
from edgeaudio.recognise.interpreter import RUNTIME
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME, Manifest, OutputSection
from edgeaudio.recognise.manifest_file import manifest_toml
from edgeaudio.recognise.model import Model, load_model, read_model_file
from edgeaudio.recognise.tflite_file import Tensor, packed_files, read_model_metadata, read_tensors
from edgeaudio.recognise.tflite_metadata import Metadata
from edgeaudio.slugs import slugs
from edgeaudio.terminal import bad, good, print_out, width_of

TIMED_RUNS = 20
MOST_LABELS_SHOWN = 60
AT_RANDOM = "the same clip gives others each time: convert the model for inference, without dropout or noise"
SCORE_SLACK = 0.01  # quantised scores may exceed 0 to 1 by this much


def init(file: Path, out: Path | None, options: InitOptions) -> int:
    """Write a model directory for a `.tflite` file, and print what was guessed. Raises EdgeaudioError."""
    content = read_model_file(file)
    frontend = read_model_file(options.frontend) if options.frontend else b""
    found = draft(file, content, options, frontend)
    manifest = found.model.manifest
    directory = out or Path(manifest.name)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise EdgeaudioError(f"{directory}: is there already, and not empty; say another with --out DIR")
        (directory / MODEL_FILE_NAME).write_bytes(content)
        if manifest.input.frontend:
            (directory / manifest.input.frontend).write_bytes(frontend)
        (directory / FILE_NAME).write_text(manifest_toml(manifest), encoding="utf-8")
    except OSError as error:
        raise EdgeaudioError(f"{directory}: cannot be written: {error.strerror}") from None
    length_s = manifest.clip.n_samples / manifest.clip.sample_rate
    clip = f"{manifest.input.kind}, {length_s:g} s at {manifest.clip.sample_rate} Hz"
    labels = f"{len(manifest.labels)} label{'s' if len(manifest.labels) != 1 else ''}"
    print_out(f"{directory}: written; {clip}, {labels} ({some_of(manifest.labels, 4)})")
    if found.guesses:
        print_out(
            f"\nGuessed, for the file does not tell: check these, mend {directory / FILE_NAME} where they are wrong:"
        )
        print_out("\n".join(f"  {guess}" for guess in found.guesses))
    detector = manifest.detector
    print_out(f"\nThresholds are {detector.on:g} on and {detector.off:g} off for every label until you set them. Next:")
    print_out(f"  edgeaudio model verify {directory}")
    print_out(f"  edgeaudio score --model {directory} RECORDING")
    return 0


def inspect(name: str) -> int:
    """Print all about a model directory, a bundled model or a `.tflite` file. Raises EdgeaudioError."""
    path = Path(name)
    if os.path.isfile(path):  # noqa: PTH113 (pathlib's raises where a folder on the way is closed)
        content = read_model_file(path)
        rows = [["file", f"{path}, {len(content)} bytes"], ["sha256", hashlib.sha256(content).hexdigest()]]
        rows += _tensor_rows(path, content)
        rows += _metadata_rows(read_model_metadata(path, content))
        rows += [["packed", f"{file}, {_packed(file, data)}"] for file, data in packed_files(content).items()]
        print_out("\n".join(columns(rows, width=width_of(sys.stdout))))
        return 0
    directory = find_model(name)
    model = load_model(directory)
    rows = [["directory", f"{directory}"], *_manifest_rows(model.manifest)]
    if isinstance(model, FusedModel):
        rows += _member_rows(model)
    else:
        content = read_model_file(model.path)
        rows[0][1] += f", {len(content)} bytes"
        rows += _tensor_rows(model.path, content)
    print_out("\n".join(columns(rows, width=width_of(sys.stdout))))
    return 0


def verify(name: str) -> int:
    """Load a model, run clips through it, print the results; 0 if all works, else 2. Raises EdgeaudioError."""
    directory = find_model(name)
    model = load_model(directory)  # which checks hash, tensors and labels
    if isinstance(model, FusedModel):
        return _verify_fused(model)
    return _verify_single(model)


def _verify_fused(model: FusedModel) -> int:
    """Print what `verify` finds of each member, and of the labels; 0 if all works, else 2."""
    manifest, status = model.manifest, 0
    for section, member in zip(manifest.fuse, model.members, strict=True):
        print_out(f"member {section.model}")
        status = max(status, _verify_single(member))
    print_out(f"fused {manifest.name}")
    clash = _clash(manifest)
    rows = [
        ["hash", good("works"), manifest.sha256],
        ["labels", bad("FAILS") if clash else good("works"), clash or _counts(manifest)],
    ]
    _print_table(rows)
    return 2 if clash else status


def _verify_single(model: Model) -> int:
    manifest = model.manifest
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, manifest.clip.n_samples).astype(np.float32)
    values = input_of(manifest, noise)
    runs = [model.outputs(given) for given in (values, input_of(manifest, noise * 0), values)]
    outputs = np.concatenate(runs[:2])
    features_ms, model_ms = _median_ms(manifest, model, noise)
    period_ms = 1000 * manifest.period_s
    share = (features_ms + model_ms) / period_ms
    each = (
        f"step of {period_ms:g} ms (median of {TIMED_RUNS}, features of {len(values)} frames at once); this"
        if manifest.input.stateful
        else f"clip of {manifest.clip.n_samples / manifest.clip.sample_rate:g} s (median of {TIMED_RUNS}); "
        f"a clip each {period_ms:g} ms"
    )
    inputs, results = read_tensors(model.path, read_model_file(model.path))
    tensors = f"{_tensor(inputs[manifest.input.index])} -> {_tensor(results[manifest.output.index])}"
    trouble = _trouble(manifest, outputs) or ("" if np.array_equal(runs[0], runs[2]) else AT_RANDOM)
    clash = _clash(manifest)
    rows = [
        ["hash", "works", manifest.sha256],
        ["tensors", "works", f"{tensors}, by {RUNTIME}"],
        ["labels", "FAILS" if clash else "works", clash or _counts(manifest)],
        ["scores", "FAILS" if trouble else "works", trouble or _works(manifest, outputs)],
        [
            "time",
            "works",
            (
                f"features {features_ms:.2f} ms, model {model_ms:.2f} ms a {each} takes {share:.1%} of one core"
                f"{_unheard(manifest)}"
            ),
        ],
    ]
    for row in rows:
        row[1] = bad(row[1]) if row[1] == "FAILS" else good(row[1])
    _print_table(rows)
    return 2 if trouble or clash else 0


def _print_table(rows: list[list[str]]) -> None:
    for line in table(rows, width=width_of(sys.stdout)):
        print_out(*line)


def _counts(manifest: Manifest) -> str:
    return f"{len(manifest.labels)}, groups {len(manifest.groups)}"


def _unheard(manifest: Manifest) -> str:
    """Return the share of the sound between clips that do not touch; empty if they do."""
    clip = manifest.clip
    share = 1 - clip.n_samples / (clip.sample_rate * manifest.period_s)
    return f" and leaves {share:.0%} of the sound between clips unheard" if share > 0 else ""


def _median_ms(manifest: Manifest, model: Model, samples: np.ndarray) -> tuple[float, float]:
    """Return the median time of the features and of the model for one clip, or for one step of a stateful model, ms."""
    features_s, model_s, n_steps = [], [], 1
    scorer, step = model.scores, None
    if manifest.input.stateful:
        scorer, step = model.stream().scores, manifest.input.step
        n_steps = manifest.values_shape[0] // manifest.input.step
    for _ in range(TIMED_RUNS):
        begin_s = time.perf_counter()
        values = input_of(manifest, samples)
        middle_s = time.perf_counter()
        scorer(values[:step])
        features_s.append((middle_s - begin_s) / n_steps)
        model_s.append(time.perf_counter() - middle_s)
    return 1000 * statistics.median(features_s), 1000 * statistics.median(model_s)


def _trouble(manifest: Manifest, outputs: np.ndarray) -> str:
    """Return what is wrong with a model's outputs; empty if nothing is."""
    if not np.isfinite(outputs).all():
        return "some are not finite: the model is broken, or its input is not what it was trained with"
    if manifest.output.kind == "reconstruction_error":
        return ""
    low, high = float(outputs.min()), float(outputs.max())
    if manifest.output.activation == "none" and not -SCORE_SLACK <= low <= high <= 1 + SCORE_SLACK:
        return f'from {low:.3g} to {high:.3g}, which are no scores: set output.activation to "sigmoid" or "softmax"'
    return ""


def _works(manifest: Manifest, outputs: np.ndarray) -> str:
    if manifest.output.kind == "reconstruction_error":
        return f"errors of {outputs[0, 0]:.4g} for noise and {outputs[1, 0]:.4g} for silence"
    return "from 0 to 1, of noise and of silence"


def _clash(manifest: Manifest) -> str:
    """Return which labels would share a topic; empty if none do."""
    try:
        slugs(manifest.reported, f"model {manifest.name}")
    except EdgeaudioError as error:
        return str(error)
    return ""


def _manifest_rows(manifest: Manifest) -> list[list[str]]:
    clip, section, features, detector = manifest.clip, manifest.input, manifest.features, manifest.detector
    rows = [
        ["name", f"{manifest.name} {manifest.version}"],
        *([["description", manifest.description]] if manifest.description else []),
        ["license", manifest.license or "not stated"],
        *[["training data", data] for data in manifest.training_data],
        ["sha256", manifest.sha256],
        ["clip", f"{clip.n_samples} samples at {clip.sample_rate} Hz, one each {1000 * manifest.period_s:g} ms"],
    ]
    if manifest.fuse:
        rows.append(["combine", f"{manifest.combine}{f', k {manifest.k}' if manifest.k else ''}"])
        rows += [["", f"{label}: {kind}"] for label, kind in manifest.combine_labels.items()]
    else:
        axes = f"({', '.join(section.axes)})"
        rows.append(["input", f"{section.kind} as {axes}, times {section.scale:g} plus {section.offset:g}"])
    if section.stateful:
        unit = "samples" if features is None else "frames"
        rows.append(["state", f"kept from step to step, of {section.step} {unit} each, for each source by itself"])
    if section.frontend:
        a_time = f", each {section.frontend_hop} samples" if section.frontend_hop else ""
        rows.append(["front end", f"{section.frontend}{a_time}, of samples times {section.frontend_scale:g}"])
    if features:
        frames = f"{features.n_frames(clip.n_samples)} frames of {features.n_features}"
        window_ms, hop_ms = (1000 * n / clip.sample_rate for n in (features.window_length, features.hop_length))
        rows.append(["features", f"{frames}, window {window_ms:g} ms, hop {hop_ms:g} ms"])
        given = manifest_toml(manifest).partition("[features]")[2].partition("\n[")[0].split("\n")
        rows += [["", line] for line in given if line]
    rows += [
        *([] if manifest.fuse else [["output", _output(manifest.output)]]),
        ["labels", f"{len(manifest.labels)}: {some_of(manifest.labels, MOST_LABELS_SHOWN)}"],
        *[[f"group {group}", ", ".join(members)] for group, members in manifest.groups.items()],
        ["thresholds", f"on {detector.on:g}, off {detector.off:g}, where a label has none of its own"],
        *[["", f"{label}: on {own.on:g}, off {own.off:g}"] for label, own in manifest.thresholds.items()],
        [
            "detector",
            (
                f"mean of {detector.mean_of}, {detector.votes} of {detector.votes_of} votes, then "
                f"{detector.refractory_s:g} s without another event of any label"
                if detector.refractory_s
                else f"mean of {detector.mean_of}, {detector.votes} of {detector.votes_of} votes, at least "
                f"{detector.min_duration_s:g} s, held {detector.hold_s:g} s, cool-down {detector.cooldown_s:g} s"
            ),
        ],
    ]
    return rows


def _member_rows(model: FusedModel) -> list[list[str]]:
    """Return the rows of each member: what it is, and its labels."""
    rows = []
    for section, member in zip(model.manifest.fuse, model.members, strict=True):
        own = member.manifest
        rows += [
            [f"member {section.model}", f"{own.name} {own.version}, license {own.license or 'not stated'}"],
            ["", f"{member.path}, sha256 {own.sha256}"],
        ]
        if section.window == "clip":
            rows.append(["", "window clip: its highest score within the fused model's clip counts"])
        for label, theirs in section.labels.items():
            weight = f", weight {section.weights[label]:g}" if label in section.weights else ""
            rows.append(["", f"{label}: {theirs}{weight}"])
    return rows


def _output(section: OutputSection) -> str:
    if section.kind == "reconstruction_error":
        return f"its error in giving its input back, as a score: a mean square of {section.half_error:g} is 0.5"
    return f"activation {section.activation}, {section.patches} of its patches"


def _tensor_rows(file: Path, content: bytes) -> list[list[str]]:
    inputs, outputs = read_tensors(file, content)
    rows = [[f"input {i}", f"{tensor.name}: {_tensor(tensor)}"] for i, tensor in enumerate(inputs)]
    return rows + [[f"output {i}", f"{tensor.name}: {_tensor(tensor)}"] for i, tensor in enumerate(outputs)]


def _metadata_rows(metadata: Metadata) -> list[list[str]]:
    """Return the rows of the file's metadata on each tensor."""
    rows = []
    for what, tensors in (("input", metadata.inputs), ("output", metadata.outputs)):
        for i, tensor in enumerate(tensors):
            facts = [
                *([f"{tensor.sample_rate} Hz"] if tensor.sample_rate else []),
                *([f"{tensor.channels} channels"] if tensor.channels else []),
                *([f"mean {list(tensor.mean)}, std {list(tensor.std)}"] if tensor.mean or tensor.std else []),
                *[f"labels in {file.name} ({file.locale or 'no language'})" for file in tensor.label_files],
                *([f"threshold {tensor.threshold:g}"] if tensor.threshold is not None else []),
            ]
            rows += [[f"metadata of {what} {i}", ", ".join(facts)]] if facts else []
    return rows


def _packed(file: str, data: bytes) -> str:
    try:
        labels = read_labels(file, data).names
    except EdgeaudioError:
        return f"{len(data)} bytes"
    return f"{len(labels)} lines: {some_of(labels, 4)}"


def _tensor(tensor: Tensor) -> str:
    steps = f", step {tensor.scale:.6g}, zero at {tensor.zero_point}" if tensor.scale else ""
    return f"{tensor.dtype} {list(tensor.shape)}{steps}"
