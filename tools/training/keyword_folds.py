"""The folds of a keyword training: each trained without some speakers, and judged by them in running sound.

Owns: the order of the steps of a fold, what is kept of it, its threshold, and how keyword manifests differ from others.
Does not know: what the sound that a fold is judged in is made of (it is handed in).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.features import clip_features
from edgeaudio.recognise.manifest import DetectorSection, Manifest
from edgeaudio.recognise.manifest_file import manifest_toml, read_manifest
from tools.training.keyword_data import OTHERS, UNKNOWN
from tools.training.keyword_report import report_keywords
from tools.training.keyword_trials import Passage, Tally, judge, threshold_for, thresholds_at
from tools.training.training_data import TrainingData
from tools.training.training_run import quantise, source_of_clips, train

PERIOD_MS = 100
DETECTOR = DetectorSection(mean_of=2, refractory_s=0.4)
REPRESENTATIVE_CLIPS = 300

Passages = Callable[[int], Iterable[Passage]]  # of a fold


def keyword_draft(draft: Manifest) -> Manifest:
    """Return the draft of a keyword model: clips and detector as words need them, entities of the keywords alone."""
    return replace(
        draft, clip=replace(draft.clip, period_ms=PERIOD_MS), detector=DETECTOR,
        announce=tuple(label for label in draft.labels if label not in OTHERS),
    )  # fmt: skip


def judged_folds(
    speakers: Mapping[int, str], data: TrainingData, draft: Manifest, options: argparse.Namespace, passages: Passages
) -> Manifest:
    """Train and judge the folds, and write their thresholds and the report. Returns the draft with thresholds.

    Raises:
        EdgeaudioError: A model would be trained without one of its words.
    """
    if untrained := {fold: names for fold, names in speakers.items() if not _result_file(fold, options).exists()}:
        _require_words(untrained, data, draft.announce)
    results = {fold: _fold(fold, data, draft, options, passages) | {"speakers": speakers[fold]} for fold in speakers}
    judged = {
        fold: {kind: [Tally.from_json(each) for each in tallies] for kind, tallies in result["judged"].items()}
        for fold, result in results.items()
    }
    chosen = {}
    for fold, own in judged.items():
        # of the folds that were judged by another's voice; where there is one fold only, its own
        others = [kinds for other, kinds in judged.items() if other != fold] or [own]
        chosen[fold] = threshold_for(others, options.budget)
        file = options.out / f"fold-{fold}" / "model.toml"
        file.write_text(manifest_toml(_with_threshold(read_manifest(file), chosen[fold])))
    report_keywords(results, judged, chosen, draft.announce, options.out)
    return _with_threshold(draft, threshold_for(list(judged.values()), options.budget))


def _fold(
    fold: int, data: TrainingData, draft: Manifest, options: argparse.Namespace, passages: Passages
) -> dict[str, Any]:
    """Train one fold, and judge it as int8 at every threshold. Returns tallies, size and history of training."""
    from tools.training import conversion  # noqa: PLC0415 - TensorFlow

    folder = options.out / f"fold-{fold}"
    result_file = _result_file(fold, options)
    if not result_file.exists():
        manifest, file, history = train(fold, data, draft, options, folder)
        config = manifest.features or data.features
        source = source_of_clips(fold, data, config.n_frames(manifest.clip.n_samples), options)
        drawn, _ = source.draw(REPRESENTATIVE_CLIPS, np.random.default_rng((options.seed, 8)))
        original = conversion.Original(conversion.load(file), manifest)
        model = quantise(file, manifest, original.inputs([clip_features(clip, config) for clip in drawn]), folder)
        judged = judge(model, tqdm(passages(fold), desc=f"judging fold {fold}", unit="passage", leave=False))
        result = {
            "judged": {kind: [tally.to_json() for tally in tallies] for kind, tallies in judged.items()},
            "bytes": (folder / "model.tflite").stat().st_size,
            "history": history,
        }
        result_file.write_text(json.dumps(result))
    return dict(json.loads(result_file.read_text()))


def _result_file(fold: int, options: argparse.Namespace) -> Path:
    return Path(options.out / f"fold-{fold}" / "result.json")


def _require_words(speakers: Mapping[int, str], data: TrainingData, keywords: Sequence[str]) -> None:
    audible = [entry for entry, power in zip(data.entries, data.powers, strict=True) if power is not None]
    for fold, names in speakers.items():
        said = {entry.label for entry in audible if entry.fold != fold}
        if missing := next((word for word in keywords if word not in said), None):
            raise EdgeaudioError(
                f"{missing!r}: nobody says it besides {names}, whose voice fold {fold} is judged by: add another "
                f"speaker's recordings or --voices, or label it {UNKNOWN}"
            )


def _with_threshold(manifest: Manifest, on: float) -> Manifest:
    thresholds = thresholds_at(on, manifest.labels)
    usual = thresholds.pop(manifest.labels[0])
    others = {label: value for label, value in thresholds.items() if value != usual}
    return replace(manifest, detector=replace(manifest.detector, on=usual.on, off=usual.off), thresholds=others)
