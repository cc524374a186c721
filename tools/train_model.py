"""Train a Keras model on labelled recordings, and measure it on recordings that it was not trained on.

    python -m tools.train_model RECORDINGS --out runs/NAME [--negatives FOLDER] [--kind log_mel|mfcc]

    python -m tools.train_model WORDS --out runs/NAME --keywords [--voices 40] [--unknown FOLDER] [--negatives FOLDER]

RECORDINGS is a folder of `label/recording` files, or a CSV with the columns file, label and fold. Every fold is
trained and judged on its own, as Keras and as int8 through edgeaudio's clips, features and model code; then a last
model is trained on everything. Run again, the command continues where it was stopped. The result is ready for
`tools.convert_model`, and each fold is a model directory of its own.

With `--teacher` the network also learns what another model, of any labels, hears in each recording; the layer for that
is left out of the result.

With `--keywords` they are spoken words: a fold is a speaker, and a model is judged by the words that it reports in
strings of that speaker's words, and in sound without any.

Owns: the order of the steps. Does not know (all in `training/`): how clips are made (`augmentation.py`) and trained on
(`training_run.py`), how recordings are split (`training_data.py`) and results reported (`fold_report.py`), what is
different for keywords (`keyword_folds.py`).
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.manifest import ClipSection, InputSection, Manifest
from edgeaudio.recognise.manifest_file import check_manifest, manifest_toml
from edgeaudio.recognise.model import Model
from tools.synth.espeak import require_espeak
from tools.synth.keyword_speech import judged_passages, synthetic_words
from tools.synth.voices import say, training_voices
from tools.training.clips import cut_clips, spread
from tools.training.command import exit_status, require_keras
from tools.training.dataset import Entry, folds_of, labels_of, read_dataset
from tools.training.draft import NO_HASH
from tools.training.fold_report import report_folds
from tools.training.keyword_data import OTHERS, keywords_of, read_keywords
from tools.training.keyword_folds import judged_folds, keyword_draft
from tools.training.lessons import lessons, load_teacher
from tools.training.recordings import Recording, read_audio, through
from tools.training.runs import claim, named
from tools.training.training_data import TrainingData
from tools.training.training_run import CAMERA_RATES, quantise, train

Floats = NDArray[np.float32]

REPRESENTATIVE_CLIPS = 300
RANGE_DB = 80.0  # under a clip's loudest moment; what a model hears does not depend on a microphone's gain
# options that a model depends on
DECISIVE = (
    "recordings", "negatives", "kind", "sample_rate", "clip_s", "n_mels", "n_mfcc", "fmin", "full_band", "clips",
    "learning_rate", "seed", "keywords", "voices", "language",
)  # fmt: skip
USUAL = {"kind": "log_mel", "clip_s": 4.0, "n_mels": 64, "n_mfcc": 40, "clips": 300_000}
USUAL_OF_KEYWORDS = {"kind": "mfcc", "clip_s": 1.0, "n_mels": 40, "n_mfcc": 20, "clips": 100_000}
ONLY_OF_KEYWORDS = ("unknown", "voices")
ABOVE_ZERO = ("budget", "sample_rate", "clip_s", "n_mels", "n_mfcc", "clips", "learning_rate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _options(arguments)
    return exit_status("train_model", lambda: _train(options), ValueError)


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    made = argparse.ArgumentParser(prog="train_model", description="Trains a sound model and says what it is worth.")
    made.add_argument("recordings", type=Path, help="folder of label/recording files, or CSV of file, label, fold")
    made.add_argument("--out", type=Path, required=True, help="folder for models, figures and checkpoints")
    made.add_argument("--negatives", type=Path, action="append", default=[], help="folder of sound without a label")
    made.add_argument("--fold", type=int, action="append", default=[], help="judge this fold only; may be repeated")
    made.add_argument("--no-final", action="store_true", help="do not train the last model on everything")
    made.add_argument("--kind", choices=("log_mel", "mfcc"), help="(default: log_mel; of keywords: mfcc)")
    made.add_argument("--sample-rate", type=int, default=16_000)
    made.add_argument("--clip-s", type=float, help="(default: 4; of keywords: 1)")
    made.add_argument("--n-mels", type=int, help="(default: 64; of keywords: 40)")
    made.add_argument("--n-mfcc", type=int, help="(default: 40; of keywords: 20)")
    made.add_argument("--fmin", type=float, default=50.0)
    made.add_argument(
        "--full-band", action="store_true", help="for sound cards and hydrophones: no clip loses its highest bands"
    )
    made.add_argument(
        "--teacher", type=Path, help="directory of a model of samples, whose scores are learnt beside the labels"
    )
    made.add_argument("--clips", type=int, help="training clips to draw (default: 300000; of keywords: 100000)")
    made.add_argument("--learning-rate", type=float, default=3e-3)
    made.add_argument("--seed", type=int, default=1)
    keywords = made.add_argument_group("keywords")
    keywords.add_argument("--keywords", action="store_true", help="the labels are spoken words")
    keywords.add_argument(
        "--unknown",
        type=Path,
        action="append",
        default=[],
        help="folder of speech without a keyword, each of its folders another speaker",
    )
    keywords.add_argument("--voices", type=int, default=0, help="synthetic voices to train with too (espeak-ng, flite)")
    keywords.add_argument(
        "--language", default="en", help="of the synthetic voices, as espeak-ng names it (default: en)"
    )
    keywords.add_argument(
        "--budget", type=float, default=10.0, help="false accepts an hour of other sound to calibrate for (default: 10)"
    )
    return made


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    options = parser().parse_args(arguments)
    for name, value in (USUAL_OF_KEYWORDS if options.keywords else USUAL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _train(options: argparse.Namespace) -> None:
    for name in ABOVE_ZERO:
        if not 0 < (value := getattr(options, name)) < np.inf:
            raise EdgeaudioError(f"--{name.replace('_', '-')} {value}: must be a number above 0")
    _check_voices(options)
    entries, speakers = _entries(options)
    folds = folds_of(entries)
    if unknown := set(options.fold) - set(folds):
        raise EdgeaudioError(f"--fold {min(unknown)}: there are only {', '.join(map(str, folds))}")
    labels = (*keywords_of(entries), *OTHERS) if options.keywords else labels_of(entries)
    draft = _draft(options, labels)
    teacher = load_teacher(options.teacher) if options.teacher else None
    require_keras()
    recordings = []
    for entry in tqdm(entries, desc="reading", unit="file", leave=False):
        samples = read_audio(entry.path, options.sample_rate)
        recordings.append(Recording(entry.path, entry.path.parent.name, samples))
    asked = {**{name: str(getattr(options, name)) for name in DECISIVE}, **named(options.recordings, options.negatives)}
    asked["unknown"] = named(options.recordings, options.unknown)["negatives"]
    # what has changed in those folders since, too: folds are only compared where they heard the same
    asked |= {"labels": ", ".join(labels), "n_recordings": str(len(entries))}
    asked["teacher"] = teacher.manifest.sha256 if teacher else "None"
    claim(options.out, asked)
    for entry, recording in _synthetic(labels, options):
        entries.append(entry)
        recordings.append(recording)
    heard = [recording.samples for recording in recordings]
    taught = lessons(heard, options.sample_rate, teacher, options.out) if teacher else None
    data = TrainingData(entries, recordings, draft.labels, _features(options), taught)
    chosen = options.fold or folds
    if options.keywords:
        passages = partial(
            judged_passages, entries=entries, recordings=recordings, sample_rate=options.sample_rate,
            language=options.language, with_voices=options.voices > 0, seed=options.seed,
        )  # fmt: skip
        draft = judged_folds({fold: speakers[fold] for fold in chosen}, data, draft, options, passages)
    else:
        report_folds({fold: _fold(fold, data, draft, options) for fold in chosen}, data.labels, options.out)
    if not options.no_final:
        manifest, _, _ = train(None, data, draft, options, options.out)
        (options.out / "draft.toml").write_text(manifest_toml(manifest))
        model, manifest_file, recorded = (
            shlex.quote(str(path))
            for path in (options.out / "model.keras", options.out / "draft.toml", options.recordings)
        )
        files = f"{model} --manifest {manifest_file}"
        more = " --keep-thresholds" if options.keywords else ""
        print(f"next: python -m tools.convert_model {files} --recordings {recorded} --out models/NAME{more}")


def _check_voices(options: argparse.Namespace) -> None:
    if options.voices < 0:
        raise EdgeaudioError(f"--voices {options.voices}: must not be negative")
    if not options.keywords and (given := next((name for name in ONLY_OF_KEYWORDS if getattr(options, name)), None)):
        raise EdgeaudioError(f"--{given} goes with --keywords")
    if options.keywords and options.teacher:
        raise EdgeaudioError("--teacher does not go with --keywords")
    if options.voices:
        require_espeak()
        if (most := len(training_voices(options.voices, options.language, options.seed))) < options.voices:
            raise EdgeaudioError(f"--voices {options.voices}: there are only {most} of {options.language}")
        # a language that is not there is refused before the folder is claimed for it
        say(training_voices(options.voices, options.language, options.seed)[-1], "a", options.sample_rate)


def _entries(options: argparse.Namespace) -> tuple[list[Entry], dict[int, str]]:
    """Return the recordings, and the speakers of each fold of keywords."""
    if options.keywords:
        return read_keywords(options.recordings, options.unknown, options.negatives)
    return read_dataset(options.recordings, options.negatives, options.seed), {}


def _synthetic(labels: Sequence[str], options: argparse.Namespace) -> Iterator[tuple[Entry, Recording]]:
    """Yield what synthetic voices say, where they are asked for."""
    if options.keywords and options.voices:
        words = [label for label in labels if label not in OTHERS]
        yield from synthetic_words(words, options.voices, options.language, options.sample_rate, options.seed)


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
    draft = Manifest(
        name=name, version="1.0.0", labels=labels, sha256=NO_HASH, clip=clip,
        input=InputSection(kind, ("batch", "time", "feature")), features=config,
    )  # fmt: skip
    check_manifest(draft, options.out / "draft.toml")
    return keyword_draft(draft) if options.keywords else draft


def _fold(fold: int, data: TrainingData, draft: Manifest, options: argparse.Namespace) -> dict[str, Any]:
    """Train and judge one fold. Returns its labels, those found as Keras and as int8, and the history of training."""
    from tools.training import conversion  # noqa: PLC0415 - TensorFlow

    folder = options.out / f"fold-{fold}"
    result_file = folder / "result.json"
    if not result_file.exists():
        manifest, file, history = train(fold, data, draft, options, folder)
        held_out = data.held_out(fold)
        clips = cut_clips(held_out, manifest)
        seen = data.seen(fold)
        known = cut_clips([seen[i] for i in spread(len(seen), REPRESENTATIVE_CLIPS)], manifest)
        original = conversion.Original(conversion.load(file), manifest)
        chosen = spread(len(known.values), REPRESENTATIVE_CLIPS)
        model = quantise(file, manifest, original.inputs([known.values[i] for i in chosen]), folder)
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
