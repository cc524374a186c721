"""What a model's manifest says: everything that a model needs to be run right.

Owns: the fields of `model.toml`, their defaults, and what follows from them (lengths, periods, thresholds).
Does not know: TOML, which values make sense together (both `manifest_file.py`), tensors (`model.py` compares), what is
done with the scores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.schema_versions import MANIFEST

FILE_NAME = "model.toml"
MODEL_FILE_NAME = "model.tflite"
MAX_CLIPS = 100
USUAL_PERIOD_MS = 500
# Home Assistant's, of labels that warn of danger: no threshold of theirs is raised unless somebody wants that
WARNING_CLASSES = frozenset({"carbon_monoxide", "gas", "safety", "smoke"})
MIN_PERIOD_MS, MAX_PERIOD_MS = 10, 60_000  # from one clip to the next, in manifests and settings


@dataclass(frozen=True, slots=True)
class ClipSection:
    """`[clip]`: the sound that one model input stands for."""

    sample_rate: int  # Hz
    n_samples: int
    period_ms: int = USUAL_PERIOD_MS  # from one clip to the next, unless the settings say otherwise


@dataclass(frozen=True, slots=True)
class InputSection:
    """`[input]`: how a clip becomes the input tensor."""

    kind: Literal["waveform", "spectrogram", "log_mel", "mfcc", "micro_frontend"]
    axes: tuple[Literal["batch", "time", "feature", "channel"], ...] = ("batch", "time")
    index: int = 0  # of the input tensor
    scale: float = 1.0  # values are multiplied by it before quantisation: 32768 for raw 16-bit values
    offset: float = 0.0  # then added
    frontend: str = ""  # another file of the model's directory, which makes the features of the waveform
    frontend_sha256: str = ""
    frontend_scale: float = 1.0  # samples are multiplied by it, before the front end takes them
    frontend_hop: int = 0  # samples from one of its frames to the next; 0: it takes the clip whole
    # the model remembers what it was given before, and is given each frame once: `step` of them at a time
    stateful: bool = False
    step: int = 0  # frames, or samples of a waveform


@dataclass(frozen=True, slots=True)
class OutputSection:
    """`[output]`: how the output tensor becomes scores."""

    index: int = 0  # of the output tensor
    activation: Literal["none", "sigmoid", "softmax"] = "none"  # still to be applied; "none": already scores
    patches: Literal["mean", "max"] = "mean"  # how the rows of an output (n_patches, n_labels) become one
    # an autoencoder gives its input back, the worse the less it knows it: its error is the score of its one label
    kind: Literal["scores", "reconstruction_error"] = "scores"
    half_error: float = 0.0  # the mean squared error that scores 0.5


@dataclass(frozen=True, slots=True)
class DetectorSection:
    """`[detector]`: how scores become events, for every label that has no thresholds of its own."""

    on: float = 0.5
    off: float = 0.3
    mean_of: int = 1  # clips whose mean score counts
    votes: int = 1  # of the last `votes_of` clips, how many must be over the threshold
    votes_of: int = 1
    min_duration_s: float = 0.0
    hold_s: float = 0.0  # an event ends after this long under its off threshold
    cooldown_s: float = 0.0  # no new event of a label for this long after one
    # above 0: an event is a moment, such as a word; it is open for this long, and no other label begins one meanwhile
    refractory_s: float = 0.0


@dataclass(frozen=True, slots=True)
class EntitySection:
    """`[entities.<label>]`: how Home Assistant shows a label."""

    name: str = ""  # empty: the label
    device_class: str = "sound"  # of a binary sensor
    icon: str = ""  # as "mdi:dog"


@dataclass(frozen=True, slots=True)
class Threshold:
    """`[thresholds.<label>]`: an event begins at `on` and ends under `off`."""

    on: float
    off: float

    @property
    def is_never(self) -> bool:
        """True if no event begins, not even at a score of 1, which a sigmoid in 8 bits can reach."""
        return self.on >= 1

    def moved(self, on: float) -> Threshold:
        """Return the thresholds with another `on`; `off` keeps its ratio to `on`."""
        return Threshold(on, on * (self.off / self.on) if self.on else on)


Combine = Literal["mean_logit", "mean", "max", "min", "k_of_n"]


@dataclass(frozen=True, slots=True)
class FuseSection:
    """`[[fuse]]`: a member of a fused model."""

    model: str  # name of its directory
    sha256: str  # of its model.tflite
    labels: Mapping[str, str]  # a label of the fused model: the member's label or group
    weights: Mapping[str, float] = field(default_factory=dict)  # of the fused model's labels; else 1
    # which score counts: the last one, or the highest of the clips that ended within the fused model's clip, so that a
    # brief sound that its longer members still hear is not forgotten
    window: Literal["last", "clip"] = "last"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model's description. Labels are in the order of the output tensor.

    One with `fuse` has no tensors: it combines the scores of other models. Its `sha256` is that of what it combines,
    and its `input`, of which its file has none, a waveform.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    sha256: str
    clip: ClipSection
    input: InputSection
    description: str = ""
    license: str = ""
    training_data: tuple[str, ...] = ()
    schema_version: int = MANIFEST.version
    output: OutputSection = field(default_factory=OutputSection)
    features: FeatureConfig | None = None
    detector: DetectorSection = field(default_factory=DetectorSection)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    combine: Combine = "mean_logit"  # of the scores of `fuse`
    combine_labels: Mapping[str, Combine] = field(default_factory=dict)  # of labels that are combined otherwise
    k: int = 0  # with "k_of_n": which of the scores counts, from the highest; 1 is the maximum
    fuse: tuple[FuseSection, ...] = ()
    announce: tuple[str, ...] = ()  # labels and groups with entities of their own; empty: all, where there are few
    entities: Mapping[str, EntitySection] = field(default_factory=dict)

    @property
    def reported(self) -> tuple[str, ...]:
        """Labels, then groups: what scores are given for."""
        return self.labels + tuple(self.groups)

    @property
    def warnings(self) -> frozenset[str]:
        """Labels, and groups with such a label, that warn of danger, by the device class of their entities."""
        own = {label for label, entity in self.entities.items() if entity.device_class in WARNING_CLASSES}
        return frozenset(own | {group for group, labels in self.groups.items() if not own.isdisjoint(labels)})

    @property
    def period_s(self) -> float:
        """Time from one score to the next."""
        if self.input.stateful:
            return self.step_samples / self.clip.sample_rate
        return self.clip.period_ms / 1000

    @property
    def step_samples(self) -> int:
        """Samples from one step of a stateful model to the next."""
        return self.input.step * (self.features.hop_length if self.features else 1)

    @property
    def step_span(self) -> int:
        """Samples that one step of a stateful model is computed of; those of neighbours overlap as frames do."""
        features = self.features
        return self.input.step if features is None else self.step_samples - features.hop_length + features.frame_length

    @property
    def values_shape(self) -> tuple[int, ...]:
        """Shape of a clip's values: `(n_samples,)` or `(n_frames, n_features)`; whole steps of a stateful model."""
        n, features = self.clip.n_samples, self.features
        length = n if features is None else features.n_frames(n)
        if self.input.stateful:
            length -= length % self.input.step
        return (length,) if features is None else (length, features.n_features)

    def combine_of(self, label: str) -> Combine:
        """Return how the members' scores of a label become one."""
        return self.combine_labels.get(label, self.combine)

    def threshold(self, label: str) -> Threshold:
        """Return the thresholds of a label or a group."""
        return self.thresholds.get(label) or Threshold(self.detector.on, self.detector.off)


def fused_sha256(manifest: Manifest) -> str:
    """Return the SHA-256 of all that decides on a fused model's scores: the members, and how they are combined."""
    members = [
        {
            "model": section.model,
            "sha256": section.sha256,
            "labels": {name: [theirs, section.weights.get(name, 1.0)] for name, theirs in section.labels.items()},
            **({"window": section.window} if section.window != "last" else {}),
        }
        for section in manifest.fuse
    ]
    combined: dict[str, Any] = {
        "labels": manifest.labels,
        "combine": manifest.combine,
        "k": manifest.k,
        "members": members,
    }
    if manifest.combine_labels:
        combined["combine_labels"] = dict(manifest.combine_labels)
    return hashlib.sha256(json.dumps(combined, sort_keys=True).encode()).hexdigest()
