"""What can be wrong with `[[fuse]]` of a manifest, before its members are looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgeaudio.recognise.manifest import FuseSection, Manifest

MAX_MEMBERS = 8
MAX_WEIGHT = 1000

Problem = tuple[bool, str, str]  # whether it is one, the key, what to say


def fuse_problems(manifest: Manifest) -> Iterator[Problem]:
    """Yield what to check of a manifest's members, or that one without members says nothing of them."""
    sections = manifest.fuse
    counted = "k_of_n" in {manifest.combine, *manifest.combine_labels.values()}
    if not sections:
        yield manifest.combine != "mean_logit", "combine", "goes with [[fuse]]"
        yield bool(manifest.combine_labels), "combine_labels", "goes with [[fuse]]"
        yield manifest.k != 0, "k", "goes with [[fuse]]"
        return
    yield len(sections) > MAX_MEMBERS, "fuse", f"there are {len(sections)} members; 1 to {MAX_MEMBERS} are possible"
    yield not counted and manifest.k != 0, "k", 'goes with combine = "k_of_n"'
    yield (
        counted and not 1 <= manifest.k <= len(sections),
        "k",
        f"{manifest.k} is not from 1 to {len(sections)}, the number of members",
    )
    unknown = next((label for label in manifest.combine_labels if label not in manifest.labels), None)
    yield unknown is not None, f"combine_labels.{unknown}", "is not one of the labels"
    for index, section in enumerate(sections):
        for wrong, key, problem in _member_problems(manifest, section):
            yield wrong, f"fuse[{index}].{key}", problem
        same = [other for other in sections[:index] if section.model == other.model or section.sha256 == other.sha256]
        yield bool(same), f"fuse[{index}].model", f"{section.model!r} is a member already: one model has one say"
    alone = next((label for label in manifest.labels if all(label not in each.labels for each in sections)), None)
    yield alone is not None, "labels", f"{alone!r} is in no member's [fuse.labels]"


def _member_problems(manifest: Manifest, section: FuseSection) -> Iterator[Problem]:
    yield (
        not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", section.model),
        "model",
        f"{section.model!r} is not made of letters, digits, - and _: it is the name of a directory",
    )
    yield (
        not re.fullmatch(r"[0-9a-f]{64}", section.sha256),
        "sha256",
        "is not 64 hexadecimal digits in lower case: those of the member's model.toml",
    )
    yield not section.labels, "labels", "is empty: the member has no say; remove it"
    unknown = next((label for label in section.labels if label not in manifest.labels), None)
    yield unknown is not None, f"labels.{unknown}", "is not one of the labels"
    for label, weight in section.weights.items():
        key = f"weights.{label}"
        yield label not in section.labels, key, "is not one of the member's [fuse.labels]"
        yield not weight > 0, key, f"{weight:g} is not above 0"
        yield weight > MAX_WEIGHT, key, f"{weight:g} is over {MAX_WEIGHT}"
        kind = manifest.combine_of(label)
        yield kind not in {"mean_logit", "mean"}, key, f'does not go with combine = "{kind}"'
