"""A fused model: several models whose scores become one.

Owns: finding and loading the members, and which score of each counts at a moment.
Does not know: the arithmetic (fusion.py), clips, thresholds, events.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.fusion import Combination, Combined, MemberOutput
from edgeaudio.recognise.manifest import FILE_NAME, FuseSection, Manifest
from edgeaudio.recognise.manifest_file import ManifestError, read_manifest
from edgeaudio.recognise.model import Model, load_single
from edgeaudio.types import Samples


class _ClipScorer(Protocol):
    def scores(self, values: Samples) -> Samples: ...


class FusedModel:
    """A loaded fused model. It keeps nothing from clip to clip; its streams do."""

    def __init__(self, manifest: Manifest, path: Path, members: Sequence[Model]) -> None:
        """`path`: the manifest's; `members`: in its order."""
        self.manifest = manifest
        self.path = path
        self.members = tuple(members)
        outputs = [MemberOutput(member.manifest.reported, member.quantum) for member in members]
        self._combination = Combination(manifest, outputs)

    def fused_stream(self) -> FusedStream:
        """Return the model in its initial state, for one source's sound without a hole."""
        scorers = [member.stream() if member.manifest.input.stateful else member for member in self.members]
        return FusedStream(scorers, self._combination, [section.window == "clip" for section in self.manifest.fuse])


class FusedStream:
    """A fused model on one source's sound without a hole: the last scores of each member, and their combination.

    Moments are in samples of the sound, or in any other unit. Not thread-safe.
    """

    def __init__(self, scorers: Sequence[_ClipScorer], combination: Combination, highest: Sequence[bool]) -> None:
        """`highest`: whether of each member the highest score within the clip counts, and not the last."""
        self._highest = highest
        self._scorers = scorers
        self._combination = combination
        self._heard: list[deque[_Score]] = [deque() for _ in scorers]  # of each member: what counts, and newer

    def hear(self, member: int, values: Samples | None, stands: tuple[Fraction, Fraction], *, counts: bool) -> None:
        """Score a member's next clip (None: under the gate), or step.

        stands: the moments from which and up to which the score stands, unless a newer one does.
        counts: False: the member is under the gate, and scores 0 whatever its model says.
        """
        scores = None if values is None else self._scorers[member].scores(values)
        self._heard[member].append(_Score(*stands, scores if counts else None))

    def combined(self, clip: tuple[Fraction, Fraction]) -> Combined:
        """Return the scores at the end of a clip, which begins and ends no earlier than that of the last call."""
        self.forget(clip)
        _, end = clip
        return self._combination.combined(
            [
                _highest(heard, end) if highest else _standing(heard, end)
                for heard, highest in zip(self._heard, self._highest, strict=True)
            ]
        )

    def forget(self, clip: tuple[Fraction, Fraction]) -> None:
        """Forget what counts neither for a clip nor for later ones: of hours under the gate nothing is combined."""
        begin, end = clip
        for heard, highest in zip(self._heard, self._highest, strict=True):
            while (heard and heard[0].since < begin) if highest else (len(heard) > 1 and heard[1].since <= end):
                heard.popleft()


@dataclass(frozen=True, slots=True, eq=False)
class _Score:
    since: Fraction
    until: Fraction
    scores: Samples | None


def _standing(heard: deque[_Score], at: Fraction) -> Samples | None:
    """Return the scores that stand at a moment, of which nothing older is there."""
    return heard[0].scores if heard and heard[0].since <= at <= heard[0].until else None


def _highest(heard: deque[_Score], end: Fraction) -> Samples | None:
    """Return the highest of the scores up to a moment."""
    found = [each.scores for each in heard if each.since <= end and each.scores is not None]
    return np.max(found, axis=0) if found else None


LoadedModel = Model | FusedModel


def load_fused(manifest: Manifest, directory: Path) -> FusedModel:
    """Return the fused model of that manifest, which was read in `directory`. Raises ManifestError, ModelError."""
    file = directory / FILE_NAME
    return FusedModel(manifest, file, [_member(manifest, index, file) for index in range(len(manifest.fuse))])


def member_directory(section: FuseSection, directory: Path) -> Path:
    """Return where a member lies: in the fused model's directory, else beside it, else by its name.

    Raises EdgeaudioError if there is none.
    """
    for place in (directory / section.model, directory.absolute().parent / section.model):
        # pathlib's raises for a name that is too long, and in a directory that may not be read
        if os.path.isfile(place / FILE_NAME):  # noqa: PTH113 (as above)
            return place
    return find_model(section.model)


def _member(manifest: Manifest, index: int, file: Path) -> Model:
    section = manifest.fuse[index]
    key = f"fuse[{index}]"
    try:
        directory = member_directory(section, file.parent)
    except EdgeaudioError as error:
        raise ManifestError(file, f"{key}.model", str(error)) from None
    own = read_manifest(directory / FILE_NAME)
    if own.fuse:
        raise ManifestError(file, f"{key}.model", f"{directory} is a fused model itself: name its members here")
    if own.sha256 != section.sha256:
        raise ManifestError(file, f"{key}.sha256", f"is {section.sha256}, and that of {directory} is {own.sha256}")
    for label, theirs in section.labels.items():
        if theirs not in own.reported:
            problem = f"{theirs!r} is neither a label nor a group of {directory}"
            raise ManifestError(file, f"{key}.labels.{label}", problem)
    clip = manifest.clip
    if clip.n_samples * own.clip.sample_rate < own.clip.n_samples * clip.sample_rate:
        own_s, clip_s = own.clip.n_samples / own.clip.sample_rate, clip.n_samples / clip.sample_rate
        problem = f"{clip.n_samples} is {clip_s:g} s, and the clips of {section.model} are {own_s:g} s long"
        raise ManifestError(file, "clip.n_samples", problem)
    return load_single(own, directory)
