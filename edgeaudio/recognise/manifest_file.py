"""The file of a manifest, `model.toml`: read from TOML, written to it, and refused where it makes no sense.

Owns: every refusal of a wrong value, or of one that contradicts another. Does not know: what the fields are for
(`manifest.py`), tensors (`model.py` compares).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeaudio import toml_writer
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import read_regular
from edgeaudio.recognise.dataclass_toml import TableError, build, table_of
from edgeaudio.recognise.fuse_problems import Problem, fuse_problems
from edgeaudio.recognise.manifest import (
    MAX_CLIPS,
    MAX_PERIOD_MS,
    MIN_PERIOD_MS,
    MODEL_FILE_NAME,
    USUAL_PERIOD_MS,
    InputSection,
    Manifest,
    Threshold,
    fused_sha256,
)
from edgeaudio.schema_versions import MANIFEST, SchemaError, upgraded
from edgeaudio.toml_reader import TomlError, loads

MAX_BYTES = 2_000_000
MAX_LABELS = 10_000
LONGEST_CLIP_S = 120.0
DAY_S = 86_400
MAX_ENTITY_NAME = 64
# what Home Assistant knows of binary sensors
_DEVICE_CLASSES = (
    "battery battery_charging carbon_monoxide cold connectivity door garage_door gas heat light lock moisture motion "
    "moving occupancy opening plug power presence problem running safety smoke sound tamper update vibration window"
)
DEVICE_CLASSES = frozenset(_DEVICE_CLASSES.split())

_OF_MEMBERS = ("sha256", "input", "output", "features")  # what a fused model has none of


class ManifestError(EdgeaudioError):
    """A manifest that is not one, or that contradicts its model."""

    def __init__(self, path: Path, key: str, problem: str) -> None:
        super().__init__(f"{path}: {key}: {problem}" if key else f"{path}: {problem}")
        self.path = path
        self.key = key
        self.problem = problem


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises ManifestError with the faulty key and the reason."""
    try:
        text = read_regular(path, MAX_BYTES + 1)
    except OSError as error:
        raise ManifestError(path, "", f"cannot be read: {error.strerror}") from None
    if len(text) > MAX_BYTES:
        raise ManifestError(path, "", f"is larger than {MAX_BYTES // 1_000_000} MB, so it is no manifest")
    try:
        table = loads(text.decode().removeprefix("\ufeff"))  # Windows' mark of UTF-8
    except UnicodeDecodeError as error:
        raise ManifestError(path, "", f"is not UTF-8 text (byte {error.start})") from None
    except TomlError as error:
        raise ManifestError(path, "", f"is not TOML: {error}") from None
    return parse_manifest(table, path)


def parse_manifest(table: Mapping[str, Any], path: Path) -> Manifest:
    """Return the manifest in a TOML table; errors name `path`. Raises ManifestError."""
    try:
        table = upgraded(table, MANIFEST, str(path))
    except SchemaError as error:
        raise ManifestError(path, error.key, error.problem) from None
    kind = table["input"].get("kind") if isinstance(table.get("input"), dict) else None
    if isinstance(table.get("features"), dict) and isinstance(table.get("clip"), dict):
        # in the file they stand once, in [input] and [clip]
        inherited = {"kind": kind, "sample_rate": table["clip"].get("sample_rate")}
        for key in inherited:
            if key in table["features"]:
                raise ManifestError(path, f"features.{key}", f"belongs into [{'input' if key == 'kind' else 'clip'}]")
        if kind == "waveform":
            raise ManifestError(path, "features", 'is there, but input.kind is "waveform": remove one')
        table["features"] = {**table["features"], **inherited}
    is_fused = "fuse" in table
    if is_fused:
        table = _with_placeholders(table, path)
    try:
        manifest: Manifest = build(Manifest, table)
    except TableError as error:
        raise ManifestError(path, error.key, error.problem) from None
    except RecursionError:
        raise ManifestError(path, "", "is nested too deeply") from None
    check_manifest(manifest, path)
    return replace(manifest, sha256=fused_sha256(manifest)) if is_fused else manifest


def _with_placeholders(table: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the table of a fused model with what is computed, or meaningless for it. Raises ManifestError."""
    for key in _OF_MEMBERS:
        if key in table:
            raise ManifestError(path, key, "does not go with [[fuse]]: each member has its own")
    if table["fuse"] == []:
        raise ManifestError(path, "fuse", "is empty")
    return {**table, "sha256": "0" * 64, "input": {"kind": "waveform"}}


def manifest_toml(manifest: Manifest) -> str:
    """Return the manifest as TOML text for `read_manifest`; values that equal their default are left out."""
    table = {"schema_version": manifest.schema_version, **table_of(manifest)}
    for key in ("sha256", "input") if manifest.fuse else ():
        del table[key]
    for key in ("kind", "sample_rate"):  # they stand in [input] and [clip]
        table.get("features", {}).pop(key, None)
    return toml_writer.dumps(table)


def check_manifest(manifest: Manifest, path: Path) -> None:
    """Check all values. Raises ManifestError at the first that makes no sense or contradicts another."""
    for problems in (
        _label_problems,
        _input_problems,
        _output_problems,
        fuse_problems,
        _detector_problems,
        _entity_problems,
    ):
        for wrong, key, problem in problems(manifest):
            if wrong:
                raise ManifestError(path, key, problem)


def _label_problems(manifest: Manifest) -> Iterator[Problem]:
    names = [*manifest.labels, *manifest.groups]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    yield (
        manifest.schema_version < 1,
        "schema_version",
        f"{manifest.schema_version} is under 1, the first",
    )
    yield (
        not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", manifest.name),
        "name",
        f"{manifest.name!r} is not made of a-z, 0-9 and single hyphens",
    )
    yield (
        not 1 <= len(manifest.labels) <= MAX_LABELS,
        "labels",
        f"there are {len(manifest.labels)}; 1 to {MAX_LABELS} are possible",
    )
    yield twice is not None, "labels", f"{twice!r} is there twice (groups count too)"
    yield not all(name.strip() for name in names), "labels", "one is empty"
    yield (
        not re.fullmatch(r"[0-9a-f]{64}", manifest.sha256),
        "sha256",
        "is not 64 hexadecimal digits in lower case: `sha256sum model.tflite` prints them",
    )
    for group, members in manifest.groups.items():
        unknown = next((name for name in members if name not in manifest.labels), None)
        yield not members, f"groups.{group}", "is empty"
        yield unknown is not None, f"groups.{group}", f"{unknown!r} is not one of the labels"


def _input_problems(manifest: Manifest) -> Iterator[Problem]:
    clip, section, features = manifest.clip, manifest.input, manifest.features
    yield (
        not 1000 <= clip.sample_rate <= 1_000_000,
        "clip.sample_rate",
        f"{clip.sample_rate} is not from 1000 to 1000000 Hz",
    )
    yield (
        not 1 <= clip.n_samples <= LONGEST_CLIP_S * clip.sample_rate,
        "clip.n_samples",
        f"{clip.n_samples} is not from 1 sample to {LONGEST_CLIP_S:g} s",
    )
    yield (
        not MIN_PERIOD_MS <= clip.period_ms <= MAX_PERIOD_MS,
        "clip.period_ms",
        f"{clip.period_ms} is not from {MIN_PERIOD_MS} to {MAX_PERIOD_MS}",
    )
    yield from _frontend_problems(section)
    yield from _state_problems(manifest)
    twice = any(section.axes.count(axis) > 1 for axis in ("batch", "time", "feature"))
    yield twice, "input.axes", 'an axis is there twice, and only "channel" may be'
    yield (
        "time" not in section.axes or ("feature" in section.axes) != (section.kind != "waveform"),
        "input.axes",
        'must hold "time", and "feature" if and only if input.kind is not "waveform"',
    )
    if features:
        yield (
            features.n_frames(clip.n_samples) < 1,
            "clip.n_samples",
            f"{clip.n_samples} is less than one frame ({features.frame_length})",
        )
    else:
        yield section.kind != "waveform", "features", f'is missing, and input.kind is "{section.kind}"'


def _state_problems(manifest: Manifest) -> Iterator[Problem]:
    section, clip, features = manifest.input, manifest.clip, manifest.features
    if not section.stateful:
        yield section.step != 0, "input.step", "goes with input.stateful = true"
        return
    yield section.step < 1, "input.step", "must be above 0: frames (or samples of a waveform) that one run is given"
    yield (
        clip.period_ms != USUAL_PERIOD_MS,
        "clip.period_ms",
        "does not go with input.stateful: input.step decides how often the model runs",
    )
    period_ms = 1000 * manifest.period_s
    yield (
        not MIN_PERIOD_MS <= period_ms <= MAX_PERIOD_MS,
        "input.step",
        f"{section.step} is {period_ms:g} ms, which is not from {MIN_PERIOD_MS} to {MAX_PERIOD_MS}",
    )
    yield (
        clip.n_samples < manifest.step_span,
        "clip.n_samples",
        f"{clip.n_samples} is less than one step is computed of ({manifest.step_span})",
    )
    yield bool(section.frontend), "input.frontend", "does not go with input.stateful"
    yield manifest.output.kind != "scores", "output.kind", 'must be "scores" with input.stateful'
    yield (
        features is not None and features.needs_whole_clip,
        "features",
        'center, pad_end, ref = "max", top_db, cmvn_window and standardize do not go with input.stateful',
    )


def _frontend_problems(section: InputSection) -> Iterator[Problem]:
    if not section.frontend:
        lone = (section.frontend_sha256, section.frontend_scale, section.frontend_hop) != ("", 1.0, 0)
        yield lone, "input.frontend", "is missing, and is what frontend_sha256, frontend_scale and frontend_hop go with"
        return
    yield section.kind != "waveform", "input.frontend", 'goes with input.kind "waveform": it makes the features'
    named = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*\.tflite", section.frontend)
    yield (
        named is None or section.frontend == MODEL_FILE_NAME,
        "input.frontend",
        f"{section.frontend!r} is not the name of another .tflite file in the model's directory",
    )
    yield (
        not re.fullmatch(r"[0-9a-f]{64}", section.frontend_sha256),
        "input.frontend_sha256",
        f"is not 64 hexadecimal digits in lower case: `sha256sum {section.frontend}` prints them",
    )
    yield section.frontend_hop < 0, "input.frontend_hop", "must not be negative"


def _output_problems(manifest: Manifest) -> Iterator[Problem]:
    output = manifest.output
    if output.kind == "scores":
        yield output.half_error != 0, "output.half_error", 'goes with output.kind "reconstruction_error"'
        return
    yield not output.half_error > 0, "output.half_error", "must be above 0: the mean squared error that scores 0.5"
    yield output.activation != "none", "output.activation", "is for scores, and output.kind makes one of an error"
    yield (
        len(manifest.labels) != 1,
        "labels",
        f'there are {len(manifest.labels)}; output.kind "reconstruction_error" gives one score',
    )


def _detector_problems(manifest: Manifest) -> Iterator[Problem]:
    detector = manifest.detector
    for key in ("min_duration_s", "hold_s", "cooldown_s", "refractory_s"):
        yield not 0 <= getattr(detector, key) <= DAY_S, f"detector.{key}", f"is not from 0 to {DAY_S}"
    lasting = (detector.min_duration_s, detector.hold_s, detector.cooldown_s) != (0, 0, 0)
    yield (
        detector.refractory_s > 0 and lasting,
        "detector.refractory_s",
        "is for moments, such as words: remove min_duration_s, hold_s and cooldown_s",
    )
    yield not 1 <= detector.mean_of <= MAX_CLIPS, "detector.mean_of", f"is not from 1 to {MAX_CLIPS}"
    yield (
        not 1 <= detector.votes <= detector.votes_of <= MAX_CLIPS,
        "detector.votes",
        f"must be from 1 to votes_of, and votes_of at most {MAX_CLIPS}",
    )
    pairs = {"detector": Threshold(detector.on, detector.off)}
    pairs |= {f"thresholds.{label}": threshold for label, threshold in manifest.thresholds.items()}
    for key, threshold in pairs.items():
        yield (
            not 0 <= threshold.off <= threshold.on <= 1,
            key,
            f"on {threshold.on:g} and off {threshold.off:g}: must be 0 <= off <= on <= 1",
        )
    unknown = next((name for name in manifest.thresholds if name not in manifest.reported), None)
    yield unknown is not None, f"thresholds.{unknown}", "is not one of the labels or groups"


def _entity_problems(manifest: Manifest) -> Iterator[Problem]:
    unknown = next((name for name in manifest.announce if name not in manifest.reported), None)
    yield unknown is not None, "announce", f"{unknown!r} is not one of the labels or groups"
    for label, entity in manifest.entities.items():
        key = f"entities.{label}"
        yield label not in manifest.reported, key, "is not one of the labels or groups"
        yield (
            len(entity.name) > MAX_ENTITY_NAME or not entity.name.isprintable(),
            f"{key}.name",
            f"is not up to {MAX_ENTITY_NAME} characters that can be printed",
        )
        yield (
            entity.device_class not in DEVICE_CLASSES,
            f"{key}.device_class",
            f"{entity.device_class!r} is none of a binary sensor in Home Assistant",
        )
        yield (
            re.fullmatch(r"([a-z0-9]+:[a-z0-9-]+)?", entity.icon) is None,
            f"{key}.icon",
            f'{entity.icon!r} is not like "mdi:dog"',
        )
