"""How recordings are listened to: the model and what is set besides, and the one name that stands for all of it.

Owns: the settings of a run, and their fingerprint: two that could give other rows have two of them.
Does not know: recordings, where results lie.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.manifest import Manifest, Threshold
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.pipeline import GATE_DBFS, FusedScorer, ModelBinding, Scorer
from edgeaudio.types import Channel

RESULTS = 2  # version of what rows and keys mean: rows of another version lie in another place
_NO_RESULT = ("description", "license", "training_data", "announce", "entities", "schema_version")  # of a manifest
_NO_SCORE = ("detector", "thresholds")  # of a member: its scores are combined, and its own events are none
_OF_FUSED = ("combine", "combine_labels", "k", "fuse")  # that say nothing of another model


@dataclass(frozen=True, slots=True)
class Hearing:
    """The settings of a run. `model` is a directory."""

    model: str
    gate_dbfs: float = GATE_DBFS
    channel: Channel = "auto"
    scores_floor: float | None = None  # scores from there on are rows as well; None: only events are
    thresholds: tuple[tuple[str, float], ...] = ()  # label and the score at which its events begin, sorted
    place: str = ""  # name of the place of its results: the model's as it was at planning, and the fingerprint


def hearing_of(
    model: str,
    *,
    gate_dbfs: float = GATE_DBFS,
    channel: Channel = "auto",
    scores_floor: float | None = None,
    thresholds: dict[str, float] | None = None,
) -> Hearing:
    """Return the settings for a bundled model or a model directory. Raises EdgeaudioError."""
    directory = str(find_model(model).resolve())
    wanted = tuple(sorted((thresholds or {}).items()))
    plain = Hearing(directory, gate_dbfs, channel, scores_floor, wanted)
    loaded = load_model(Path(directory))
    manifest = loaded.manifest
    for label, _ in wanted:
        if label not in manifest.reported:
            raise EdgeaudioError(f"the model {manifest.name} has no label {label}; `edgeaudio model` lists them")
    return replace(plain, place=place_of(plain, loaded))


def place_of(hearing: Hearing, model: Scorer) -> str:
    """Return the model's name, and 12 hexadecimal digits of everything that may change a row."""
    text = json.dumps(described(hearing, model), sort_keys=True, ensure_ascii=False)
    return f"{model.manifest.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def described(hearing: Hearing, model: Scorer) -> dict[str, object]:
    """Return model and settings as values for JSON, without places and what is only said about a model."""
    own, *members = map(_described, manifests_of(model))
    members = [{name: value for name, value in each.items() if name not in _NO_SCORE} for each in members]
    described_model = own | ({"members": members} if members else {})
    settings = {
        "gate_dbfs": hearing.gate_dbfs,
        "channel": hearing.channel,
        "scores_floor": hearing.scores_floor,
        "thresholds": dict(hearing.thresholds),
    }
    return {"results": RESULTS, "model": described_model, "settings": settings}


def manifests_of(model: Scorer) -> list[Manifest]:
    """Return the manifest of a model, and those of its members if it is fused."""
    members = model.members if isinstance(model, FusedScorer) else ()
    return [model.manifest, *(member.manifest for member in members)]


def _described(manifest: Manifest) -> dict[str, object]:
    without = _NO_RESULT if manifest.fuse else (*_NO_RESULT, *_OF_FUSED)
    return {name: value for name, value in asdict(manifest).items() if name not in without}


@lru_cache(maxsize=1)
def loaded_model(hearing: Hearing) -> Scorer:
    """Return the model, loaded once a process. Raises EdgeaudioError if it is another one than was planned with."""
    model = load_model(Path(hearing.model))
    if place_of(hearing, model) != hearing.place:
        raise EdgeaudioError(f"the model {model.manifest.name} was changed, or is another one here; run again")
    return model


def binding_of(hearing: Hearing, model: Scorer) -> ModelBinding:
    """Return the model with the thresholds that are set."""
    moved: dict[str, Threshold] = {label: model.manifest.threshold(label).moved(on) for label, on in hearing.thresholds}
    return ModelBinding(model, thresholds=moved or None)
