"""Fused models for tests: directories that hold their members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.tflite import LABELS, model_directory

from edgeaudio.recognise.manifest import FILE_NAME, ClipSection, FuseSection, InputSection, Manifest
from edgeaudio.recognise.manifest_file import manifest_toml, read_manifest

CLIP = ClipSection(sample_rate=8000, n_samples=800, period_ms=50)  # 0.1 s, as long as the clips of the test models


def member(parent: Path, name: str, test_model: str = "waveform", /, **changes: Any) -> FuseSection:
    """Write a member's directory, and return the section that takes all of its labels."""
    directory = model_directory(parent, test_model, name=name, **changes)
    return FuseSection(name, read_manifest(directory / FILE_NAME).sha256, {label: label for label in LABELS})


def fused_directory(parent: Path, members: Sequence[FuseSection], **changes: Any) -> Path:
    """Write `parent/fused/model.toml`; members lie beside it."""
    values: Mapping[str, Any] = {"name": "fused", "version": "1", "labels": LABELS, "clip": CLIP}
    own = {"fuse": tuple(members), "sha256": "", "input": InputSection("waveform")}
    manifest = Manifest(**{**values, **own, **changes})
    directory = parent / "fused"
    directory.mkdir(exist_ok=True)
    (directory / FILE_NAME).write_text(manifest_toml(manifest))
    return directory
