"""One network of a training: what it is trained on, its features' scaling, the fit, and its int8 model directory.

Owns: the sizes of batches and epochs. Does not know: how recordings are split, how a network is judged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import clip_features
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.recognise.manifest_file import manifest_toml
from edgeaudio.recognise.model import Model, build_model
from tools.training.augmentation import Batches, Recipe
from tools.training.keyword_clips import RECIPE, KeywordBatches, words_of
from tools.training.training_data import TrainingData

Floats = NDArray[np.float32]

BATCH = 32
EPOCH_STEPS = 64
SCALING_CLIPS = 300
LIMIT = 5.0  # deviations; what lies further out would only coarsen the int8 steps of the rest
CAMERA_RATES = (8_000, 16_000)  # Hz: G.711 and what AAC mostly comes at


def train(
    without_fold: int | None, data: TrainingData, draft: Manifest, options: argparse.Namespace, folder: Path
) -> tuple[Manifest, Path, list[list[float]]]:
    """Train on everything but one fold. Returns manifest, saved model, and loss and seconds of each epoch."""
    import keras  # noqa: PLC0415 - slow to import; wrong arguments come first

    from tools.training.fit import Plan, fit  # noqa: PLC0415
    from tools.training.networks import keyword_network, spectrum_network  # noqa: PLC0415

    base = data.features
    n_frames = base.n_frames(draft.clip.n_samples)
    batches = source_of_clips(without_fold, data, n_frames, options)
    drawn, _ = batches.draw(SCALING_CLIPS, np.random.default_rng((options.seed, 7)))
    config = _scaled(base, drawn)
    manifest = replace(draft, features=config)
    file = folder / "model.keras"
    history_file = folder / "history.json"
    if not file.exists():
        keras.utils.set_random_seed(options.seed)
        folder.mkdir(parents=True, exist_ok=True)
        if options.keywords:
            network, scoring = keyword_network(config, n_frames, len(data.labels))
        else:
            network, scoring = spectrum_network(config, n_frames, len(data.labels), data.n_taught)
        plan = Plan(
            max(1, options.clips // (BATCH * EPOCH_STEPS)), EPOCH_STEPS, options.seed, options.learning_rate, 2e-3,
            is_exclusive=options.keywords,
        )  # fmt: skip
        name = "everything" if without_fold is None else f"fold {without_fold}"
        history = fit(network, partial(_batches, batches, config, len(data.labels)), plan, folder, name)
        history_file.write_text(json.dumps(history))
        scoring.save(file)
    return manifest, file, json.loads(history_file.read_text())


def source_of_clips(
    without_fold: int | None, data: TrainingData, n_frames: int, options: argparse.Namespace
) -> Batches | KeywordBatches:
    """Return what draws the training clips of everything but one fold."""
    frame_s = data.features.hop_length / data.features.sample_rate
    if options.keywords:
        # what a camera of 8 kHz leaves out is not there
        is_full = options.full_band or options.sample_rate <= min(CAMERA_RATES)
        recipe = replace(RECIPE, narrow=0.0) if is_full else RECIPE
        return KeywordBatches(*words_of(data, without_fold), data.labels, n_frames, frame_s, recipe)
    recipe = Recipe(narrow=0.0) if options.full_band else Recipe()
    return Batches(data.examples(without_fold), n_frames, frame_s, recipe)


def quantise(file: Path, manifest: Manifest, representative: Sequence[Floats], folder: Path) -> Model:
    """Convert a saved network to int8, and write its model directory."""
    from tools.training import conversion  # noqa: PLC0415 - TensorFlow

    content, _ = conversion.to_tflite(conversion.load(file), representative, "int8", [])
    manifest = replace(manifest, sha256=hashlib.sha256(content).hexdigest())
    model = build_model(manifest, folder / "model.tflite", content)
    (folder / "model.tflite").write_bytes(content)
    (folder / "model.toml").write_text(manifest_toml(manifest))
    return model


def _scaled(base: FeatureConfig, log_mels: Floats) -> FeatureConfig:
    """Return the features with mean and deviation of the training clips: by coefficient, or one for all mel bands."""
    rows = np.concatenate([clip_features(clip, base) for clip in log_mels])
    axis = 0 if base.kind == "mfcc" else None
    mean, std = (np.atleast_1d(values).tolist() for values in (rows.mean(axis=axis), rows.std(axis=axis)))
    return replace(
        base, mean=tuple(round(v, 4) for v in mean), std=tuple(round(v, 4) for v in std),
        clip_min=-LIMIT, clip_max=LIMIT,
    )  # fmt: skip


def _batches(
    source: Batches | KeywordBatches, config: FeatureConfig, n_labels: int, rng: np.random.Generator
) -> Iterator[tuple[Floats, Floats]]:
    """Yield one epoch of features (BATCH, n_frames, n_features) and targets (BATCH, 2 * n_labels + n_taught)."""
    for _ in range(EPOCH_STEPS):
        log_mels, answers = source.draw(BATCH, rng)
        values = np.stack([clip_features(clip, config) for clip in log_mels])
        own, taught = answers[:, :n_labels], answers[:, n_labels:]
        yield values, np.concatenate([own, np.ones_like(own), taught], axis=1)
