"""Train a Keras model on labelled recordings, and measure it on recordings that it was not trained on.

    python -m tools.train_model RECORDINGS --out runs/NAME [--negatives FOLDER] [--kind log_mel|mfcc]

RECORDINGS is a folder of `label/recording` files, or a CSV with the columns file, label and fold. Every fold is
trained and judged on its own, as Keras and as int8 through edgeaudio's clips, features and model code; then a last
model is trained on everything. Run again, the command continues where it was stopped. The result is ready for
`tools.convert_model`, and each fold is a model directory of its own.

Owns: the order of the steps. Does not know (all in `training/`): how clips are made (`augmentation.py`) and trained on
(`fit.py`), how recordings are split (`training_data.py`) and results reported (`fold_report.py`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import clip_features
from edgeaudio.recognise.manifest import ClipSection, InputSection, Manifest, manifest_toml
from edgeaudio.recognise.model import Model, build_model
from tools.training.augmentation import Batches, Recipe
from tools.training.clips import cut_clips, spread
from tools.training.command import exit_status, require_keras
from tools.training.dataset import folds_of, labels_of, read_dataset
from tools.training.draft import NO_HASH
from tools.training.fold_report import report_folds
from tools.training.recordings import Recording, read_audio, through
from tools.training.runs import claim, named
from tools.training.training_data import TrainingData

Floats = NDArray[np.float32]

BATCH = 32
EPOCH_STEPS = 64
SCALING_CLIPS = 300
REPRESENTATIVE_CLIPS = 300
RANGE_DB = 80.0  # under a clip's loudest moment; what a model hears does not depend on a microphone's gain
CAMERA_RATES = (8_000, 16_000)  # Hz: G.711 and what AAC mostly comes at
# options that a model depends on
DECISIVE = (
    "recordings", "negatives", "kind", "sample_rate", "clip_s", "n_mels", "n_mfcc", "fmin", "full_band", "clips",
    "learning_rate", "seed",
)  # fmt: skip
ABOVE_ZERO = ("sample_rate", "clip_s", "n_mels", "n_mfcc", "clips", "learning_rate")
LIMIT = 5.0  # deviations; what lies further out would only coarsen the int8 steps of the rest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _options(arguments)
    return exit_status("train_model", lambda: _train(options), ValueError)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train_model", description="Trains a sound model and says what it is worth.")
    parser.add_argument("recordings", type=Path, help="folder of label/recording files, or CSV of file, label, fold")
    parser.add_argument("--out", type=Path, required=True, help="folder for models, figures and checkpoints")
    parser.add_argument("--negatives", type=Path, action="append", default=[], help="folder of sound without a label")
    parser.add_argument("--fold", type=int, action="append", default=[], help="judge this fold only; may be repeated")
    parser.add_argument("--no-final", action="store_true", help="do not train the last model on everything")
    parser.add_argument("--kind", choices=("log_mel", "mfcc"), default="log_mel")
    parser.add_argument("--sample-rate", type=int, default=16_000)
    parser.add_argument("--clip-s", type=float, default=4.0)
    parser.add_argument("--n-mels", type=int, default=64)
    parser.add_argument("--n-mfcc", type=int, default=40)
    parser.add_argument("--fmin", type=float, default=50.0)
    parser.add_argument(
        "--full-band", action="store_true", help="for sound cards and hydrophones: no clip loses its highest bands"
    )
    parser.add_argument("--clips", type=int, default=300_000, help="training clips to draw (default: 300000)")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def _train(options: argparse.Namespace) -> None:
    for name in ABOVE_ZERO:
        if not 0 < (value := getattr(options, name)) < np.inf:
            raise EdgeaudioError(f"--{name.replace('_', '-')} {value}: must be a number above 0")
    entries = read_dataset(options.recordings, options.negatives, options.seed)
    folds = folds_of(entries)
    if unknown := set(options.fold) - set(folds):
        raise EdgeaudioError(f"--fold {min(unknown)}: there are only {', '.join(map(str, folds))}")
    draft = _draft(options, labels_of(entries))
    require_keras()
    recordings = []
    for entry in tqdm(entries, desc="reading", unit="file", leave=False):
        samples = read_audio(entry.path, options.sample_rate)
        recordings.append(Recording(entry.path, entry.path.parent.name, samples))
    data = TrainingData(entries, recordings, draft.labels, _features(options))
    asked = {**{name: str(getattr(options, name)) for name in DECISIVE}, **named(options.recordings, options.negatives)}
    claim(options.out, asked)
    results = {fold: _fold(fold, data, draft, options) for fold in options.fold or folds}
    report_folds(results, data.labels, options.out)
    if not options.no_final:
        manifest, _, _ = _network(None, data, draft, options, options.out)
        (options.out / "draft.toml").write_text(manifest_toml(manifest))
        files = f"{options.out / 'model.keras'} --manifest {options.out / 'draft.toml'}"
        print(f"next: python -m tools.convert_model {files} --recordings {options.recordings} --out models/NAME")


def _features(options: argparse.Namespace) -> FeatureConfig:
    return FeatureConfig(
        kind=options.kind, sample_rate=options.sample_rate, n_fft=2 ** round(np.log2(0.064 * options.sample_rate)),
        hop_length=round(0.02 * options.sample_rate), n_mels=options.n_mels, n_mfcc=min(options.n_mfcc, options.n_mels),
        fmin=options.fmin, mel_scale="htk", ref="max", top_db=RANGE_DB,
    )  # fmt: skip


def _draft(options: argparse.Namespace, labels: tuple[str, ...]) -> Manifest:
    kind: Literal["log_mel", "mfcc"] = options.kind
    clip = ClipSection(options.sample_rate, round(options.clip_s * options.sample_rate))
    config = _features(options)
    if not config.n_frames(clip.n_samples):
        frame_ms = 1000 * config.n_fft / options.sample_rate
        raise EdgeaudioError(f"--clip-s {options.clip_s}: a clip must hold a frame, which is {frame_ms:g} ms")
    name = re.sub(r"[^a-z0-9]+", "-", options.out.name.lower()).strip("-") or "model"
    return Manifest(
        name=name, version="1.0.0", labels=labels, sha256=NO_HASH, clip=clip,
        input=InputSection(kind, ("batch", "time", "feature")), features=config,
    )  # fmt: skip


def _network(
    without_fold: int | None, data: TrainingData, draft: Manifest, options: argparse.Namespace, folder: Path
) -> tuple[Manifest, Path, list[list[float]]]:
    """Train on everything but one fold. Returns manifest, saved model, and loss and seconds of each epoch."""
    import keras  # noqa: PLC0415 - slow to import; wrong arguments come first

    from tools.training.fit import Plan, fit  # noqa: PLC0415
    from tools.training.networks import spectrum_network  # noqa: PLC0415

    base = data.features
    n_frames = base.n_frames(draft.clip.n_samples)
    recipe = Recipe(narrow=0.0) if options.full_band else Recipe()
    batches = Batches(data.examples(without_fold), n_frames, base.hop_length / base.sample_rate, recipe)
    drawn, _ = batches.draw(SCALING_CLIPS, np.random.default_rng((options.seed, 7)))
    config = _scaled(base, drawn)
    manifest = replace(draft, features=config)
    file = folder / "model.keras"
    history_file = folder / "history.json"
    if not file.exists():
        keras.utils.set_random_seed(options.seed)
        folder.mkdir(parents=True, exist_ok=True)
        network, scoring = spectrum_network(config, n_frames, len(data.labels))
        plan = Plan(
            max(1, options.clips // (BATCH * EPOCH_STEPS)), EPOCH_STEPS, options.seed, options.learning_rate, 2e-3
        )
        name = "everything" if without_fold is None else f"fold {without_fold}"
        history = fit(network, partial(_batches, batches, config), plan, folder, name)
        history_file.write_text(json.dumps(history))
        scoring.save(file)
    return manifest, file, json.loads(history_file.read_text())


def _scaled(base: FeatureConfig, log_mels: Floats) -> FeatureConfig:
    """Return the features with mean and deviation of the training clips: by coefficient, or one for all mel bands."""
    rows = np.concatenate([clip_features(clip, base) for clip in log_mels])
    axis = 0 if base.kind == "mfcc" else None
    mean, std = (np.atleast_1d(values).tolist() for values in (rows.mean(axis=axis), rows.std(axis=axis)))
    return replace(
        base, mean=tuple(round(v, 4) for v in mean), std=tuple(round(v, 4) for v in std),
        clip_min=-LIMIT, clip_max=LIMIT,
    )  # fmt: skip


def _batches(source: Batches, config: FeatureConfig, rng: np.random.Generator) -> Iterator[tuple[Floats, Floats]]:
    """Yield one epoch of features (BATCH, n_frames, n_features) and targets (BATCH, 2 * n_labels)."""
    for _ in range(EPOCH_STEPS):
        log_mels, answers = source.draw(BATCH, rng)
        values = np.stack([clip_features(clip, config) for clip in log_mels])
        yield values, np.concatenate([answers, np.ones_like(answers)], axis=1)


def _fold(fold: int, data: TrainingData, draft: Manifest, options: argparse.Namespace) -> dict[str, Any]:
    """Train and judge one fold. Returns its labels, those found as Keras and as int8, and the history of training."""
    from tools.training import conversion  # noqa: PLC0415 - TensorFlow

    folder = options.out / f"fold-{fold}"
    result_file = folder / "result.json"
    if not result_file.exists():
        manifest, file, history = _network(fold, data, draft, options, folder)
        held_out = data.held_out(fold)
        clips = cut_clips(held_out, manifest)
        seen = data.seen(fold)
        known = cut_clips([seen[i] for i in spread(len(seen), REPRESENTATIVE_CLIPS)], manifest)
        original = conversion.Original(conversion.load(file), manifest)
        chosen = spread(len(known.values), REPRESENTATIVE_CLIPS)
        content, _ = conversion.to_tflite(
            conversion.load(file), original.inputs([known.values[i] for i in chosen]), "int8", []
        )
        manifest = replace(manifest, sha256=hashlib.sha256(content).hexdigest())
        model = build_model(manifest, folder / "model.tflite", content)
        (folder / "model.tflite").write_bytes(content)
        (folder / "model.toml").write_text(manifest_toml(manifest))
        quantised = np.stack([model.scores(values) for values in clips.values])
        rows, names = clips.recording_scores(original.scores(clips.values))
        int8_rows, _ = clips.recording_scores(quantised)
        narrow = {
            rate: _right(model, [through(r, rate, manifest.clip.sample_rate) for r in held_out]) / len(names)
            for rate in CAMERA_RATES
            if rate < manifest.clip.sample_rate
        }
        result = {
            "truth": [data.labels.index(name) for name in names],
            "float32": rows.argmax(axis=1).tolist(),
            "int8": int8_rows.argmax(axis=1).tolist(),
            "narrow": narrow,
            "history": history,
        }
        result_file.write_text(json.dumps(result))
    return dict(json.loads(result_file.read_text()))


def _right(model: Model, recordings: Sequence[Recording]) -> int:
    """Return the number of recordings whose label has the best mean score; one without any clip does not count."""
    try:
        clips = cut_clips(recordings, model.manifest)
    except EdgeaudioError:  # nothing is left of any
        return 0
    rows, names = clips.recording_scores(np.stack([model.scores(values) for values in clips.values]))
    return sum(model.manifest.labels[row.argmax()] == name for row, name in zip(rows, names, strict=True))


if __name__ == "__main__":
    raise SystemExit(main())
