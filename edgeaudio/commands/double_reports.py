"""Models of one source that report the same sound twice: a fused model, and one that it is made of.

Owns: which labels are doubled, and the line about them. Does not know: where the line is printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgeaudio.console import some_of
from edgeaudio.recognise.fused_model import LoadedModel
from edgeaudio.recognise.pipeline import ModelBinding
from edgeaudio.settings import Settings
from edgeaudio.wiring import model_bindings, reported_labels

SHOWN = 3  # labels, and sources, that are named; the others are counted

Pair = tuple[str, str]  # a fused model and another, by their names in the settings


def double_reports(settings: Settings, models: Mapping[str, LoadedModel]) -> Iterator[str]:
    """Yield a line for each fused model and each of its members that run at the same source.

    Raises EdgeaudioError where a source's labels or thresholds are wrong.
    """
    sources: dict[Pair, list[str]] = {}
    doubled: dict[Pair, list[str]] = {}
    for source in settings.sources:
        bindings = model_bindings(settings, models, source)
        for fused in bindings:
            for other in bindings:
                if labels := _doubled(fused, other):
                    pair = fused.model.manifest.name, other.model.manifest.name
                    sources.setdefault(pair, []).append(source)
                    doubled[pair] = labels
    for (fused_name, member), labels in doubled.items():
        where = some_of(sources[fused_name, member], SHOWN)
        yield (
            f"{fused_name} is made of {member}, and both report {some_of(labels, SHOWN)} of {where}: each sound twice; "
            f"run one of them, or leave those labels out of models.{member}.labels"
        )


def _doubled(fused: ModelBinding, other: ModelBinding) -> list[str]:
    """Return what the other model reports, by its own names, that the fused one reports of the same model."""
    ours, theirs = reported_labels(fused), reported_labels(other)
    manifest = other.model.manifest
    return [
        label
        for section in fused.model.manifest.fuse
        if section.sha256 == manifest.sha256 or section.model == manifest.name
        for name, label in section.labels.items()
        if name in ours and label in theirs
    ]
