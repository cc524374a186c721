"""Evaluate how well a model finds events in recordings that it was not trained on, and choose its thresholds.

    python -m tools.evaluate_model MODEL --recordings RECORDINGS [--negatives FOLDER] [--budget 1.0] [--write DIR]

MODEL is a model directory, or the folder of a run of `tools.train_model`: then each fold's model is evaluated with the
recordings of its own fold, which it was not trained on, at thresholds that the other folds give. RECORDINGS and
`--negatives` are those of `tools.train_model`. Each labelled recording is put into other sound at several SNRs;
everything runs through the agent's own pipeline (resampling, clips, features, model, detector). Prints Markdown tables.

With `--backgrounds FOLDER`, whose sub-folders are kinds of background (ships, fans, strangers' speech, ...), whole
kinds are left out in turn: a new house is a kind of background that no threshold was chosen on.

Owns: the order of the steps. Does not know: how scenes are made (`synth/event_scenes.py`), how events are counted and
thresholds chosen (`training/event_trials.py`), what the tables look like (`training/event_report.py`,
`training/kind_report.py`).
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

# BLAS reads it as NumPy is imported: its threads spin between products, for ten times the processor time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from tqdm import tqdm

from edgeaudio.commands.number_types import number, whole
from edgeaudio.console import some_of
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.bundled_models import added_models, bundled_models
from edgeaudio.recognise.manifest import FILE_NAME, Manifest
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.pipeline import Scorer
from tools.synth.event_scenes import ONSET_S, SCENE_S, SNRS_DB, RecordedSounds, is_sounding
from tools.synth.kind_scenes import KindScenes, read_kinds
from tools.training import kind_report
from tools.training.command import exit_status
from tools.training.dataset import Entry, folds_of, read_dataset
from tools.training.event_report import budget_table, negative_table, recall_table, threshold_table, write_thresholds
from tools.training.event_trials import Outcomes, Trial, at_thresholds, calibrate, go_over, judge, listen
from tools.training.kind_trials import hear
from tools.training.model_card import replace_section
from tools.training.recordings import Samples, read_audio, without_padding
from tools.training.runs import fold_directories, load_folds, named, require_begun_with

SECTION = "Events"
WHOLE = 1  # the fold of every recording where one model directory is evaluated
SHOWN_LABELS = 20  # of those that have no recordings
MAX_SNR_DB = 60
MAX_SEED = (1 << 32) - 1
SCENE_CLIPS = 3  # that fit behind the onset of a scene's sound, at least

DEFINITIONS = (
    "A scene is {scene_s:g} s of other sound with one labelled recording that begins 6 to 9 s into it, once per SNR. "
    "The SNR is the RMS of the sound's sounding parts (pieces of 25 ms at most 20 dB under the loudest) against the "
    "background's RMS from the sound's beginning to its end. A sound is found if an event of its label begins after it "
    "does and by the end of the last clip that holds some of it; the delay is from its beginning to the end of the "
    "clip that made the event known. False alarms are events of a label that is not in the sound. Seed {seed}."
)
BY_FOLD = (
    "Evaluated are the {folds} models of the cross-validation, each with sound that it never saw and at thresholds "
    "that the other folds gave, for {budget:g} false alarms an hour of all labels together."
)
AS_IT_IS = "Evaluated is {model}, at the thresholds of its manifest."
THRESHOLDS = (
    "The thresholds for {budget:g} false alarms an hour of all labels together, and what they give on the sound that "
    "they were chosen on:"
)

BY_KIND = (
    "Evaluated is {model} over {kinds} kinds of background, {hours:.1f} h in all. A scene is {scene_s:g} s of one kind "
    "with one labelled recording that begins 6 to 9 s into it, once per SNR; each recording meets one kind. One scene "
    "in two goes through a room, a microphone and a codec. False alarms are counted over the scenes and each kind "
    "alone. *manifest*: at the manifest's thresholds. *other kinds*: each kind at thresholds that the others gave, for "
    "{budget:g} false alarms an hour in all and {worst:g} in the worst kind. *operating point*: the same with the "
    "most lenient thresholds that leave {budget:g} an hour on the kinds that were left out. *all kinds*: judged on the "
    "sound that the thresholds were chosen on. Seed {seed}."
)
KIND_SCENE_S = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="evaluate_model", description="Measures how well a model finds events.")
    parser.add_argument(
        "model", type=Path, help="model directory or a model's name, or the folder that train_model left"
    )
    parser.add_argument(
        "--recordings", type=Path, required=True, help="folder of label/recording files, or CSV of file, label, fold"
    )
    parser.add_argument("--negatives", type=Path, action="append", default=[], help="folder of sound without a label")
    parser.add_argument(
        "--snr",
        type=whole(-MAX_SNR_DB, MAX_SNR_DB),
        nargs="+",
        default=list(SNRS_DB),
        metavar="DB",
        help="SNRs of the scenes (default: 20 10 5)",
    )
    parser.add_argument(
        "--budget",
        type=number(0.001, 1000),
        default=1.0,
        help="false alarms an hour to calibrate for, in all (default: 1)",
    )
    parser.add_argument("--backgrounds", type=Path, help="folder of one sub-folder per kind of background")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="with --backgrounds: keep scores there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="with --backgrounds: write the figures there")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="with --backgrounds: draw recall against false alarms an hour"
    )
    parser.add_argument("--write", type=Path, metavar="DIR", help="model directory whose thresholds are replaced")
    parser.add_argument("--card", type=Path, help=f"model card whose section {SECTION!r} is replaced")
    parser.add_argument("--seed", type=whole(0, MAX_SEED), default=1, help="that of the training (default: 1)")
    options = parser.parse_args(arguments)
    return exit_status(parser.prog, lambda: evaluate(options))


def evaluate(options: argparse.Namespace) -> None:
    """Score, calibrate, evaluate, print and write."""
    _require_writable(options)
    options.model = _directory(options.model)
    entries = [e for e in read_dataset(options.recordings, options.negatives, options.seed) if e.judged]
    if (options.model / FILE_NAME).is_file():
        entries = [replace(entry, fold=WHOLE) for entry in entries]
        models: dict[int, Scorer] = {WHOLE: load_model(options.model)}
    else:
        models = _fold_models(options, entries)
    if options.backgrounds:
        by_kind(models, entries, options)
        return
    manifest = models[min(models)].manifest
    sounds = _sounds(list(models), entries, manifest)
    if not any(of_fold.labelled for of_fold in sounds):
        raise _holds_none(options.recordings, manifest)
    trials = _hear(models, sounds, manifest, options)
    outcomes = go_over(trials, manifest.reported, manifest.detector, manifest.period_s)
    lines = report(outcomes, manifest, options, _others(entries, manifest))
    print("\n".join(lines))
    if options.card:
        replace_section(options.card, SECTION, lines)
    if options.write:
        write_thresholds(options.write / FILE_NAME, calibrate(outcomes, options.budget))


def _require_writable(options: argparse.Namespace) -> None:
    """Raise EdgeaudioError for what could not be written after an hour of work."""
    if options.card and not options.card.is_file():
        raise EdgeaudioError(f"{options.card}: no such file; write the model card first, or leave --card out")
    if options.write and not (options.write / FILE_NAME).is_file():
        raise EdgeaudioError(f"{options.write}: is not a model directory; give one to --write, or leave it out")
    if not options.backgrounds and (options.json or options.picture or options.cache):
        raise EdgeaudioError("--json, --picture and --cache need --backgrounds")
    for file in filter(None, (options.json, options.picture)):
        if not file.parent.is_dir() or file.is_dir():
            raise EdgeaudioError(f"{file}: cannot be written; name a file in a folder that exists")


def by_kind(models: Mapping[int, Scorer], entries: Sequence[Entry], options: argparse.Namespace) -> None:
    """Evaluate over kinds of background, print and write."""
    manifest = models[min(models)].manifest
    kinds = read_kinds(options.backgrounds)
    known = tuple(entry for entry in entries if entry.label in manifest.reported and entry.fold in models)
    if not known:
        raise _holds_none(options.recordings, manifest)
    scene_s = max(KIND_SCENE_S, _scene_s(manifest))
    scenes = KindScenes(tuple(kinds), known, tuple(options.snr), scene_s, options.seed)
    trials = hear(models, scenes, options.cache)
    outcomes = go_over(trials, manifest.reported, manifest.detector, manifest.period_s)
    if not outcomes.tried:
        raise _holds_none(options.recordings, manifest)
    rows = kind_report.rows_of(outcomes, manifest, options.snr, options.budget)
    chosen = rows["operating point"]["thresholds"]
    hours = outcomes.heard_s.sum() / 3600
    lines = [
        BY_KIND.format(
            model=manifest.name, kinds=len(kinds), hours=hours, scene_s=scene_s, budget=options.budget,
            worst=kind_report.WORST * options.budget, seed=options.seed,
        ),
        "", *_not_labels("left out", _others(entries, manifest)),
        *kind_report.summary_table(rows, options.snr),
        "", *kind_report.recall_table(rows["operating point"], chosen, options.snr),
        "", *kind_report.kind_table({name: rows[name] for name in ("manifest", "operating point")}),
    ]  # fmt: skip
    print("\n".join(lines))
    if options.json:
        written = {
            "model": manifest.name,
            "version": manifest.version,
            "seed": options.seed,
            "thresholds": chosen,
            **rows,
        }
        options.json.write_text(json.dumps(written, indent=2) + "\n")
    if options.picture:
        from tools.training.pictures import draw_recall_by_false_alarms  # noqa: PLC0415 - Matplotlib

        middle_db = sorted(options.snr)[len(options.snr) // 2]
        curves = kind_report.curves(outcomes, middle_db)
        draw_recall_by_false_alarms({manifest.name: curves}, options.picture, snr_db=middle_db)
    if options.card:
        replace_section(options.card, SECTION, lines)
    if options.write:
        write_thresholds(options.write / FILE_NAME, chosen)


def report(
    outcomes: Outcomes, manifest: Manifest, options: argparse.Namespace, others: Sequence[str] = ()
) -> list[str]:
    """Return the report as lines of Markdown. `others`: labels of recordings that the model does not have."""
    folds, snrs_db, period_s = outcomes.folds, options.snr, manifest.period_s
    definitions = DEFINITIONS.format(scene_s=_scene_s(manifest), seed=options.seed)
    if len(folds) > 1:
        judged = judge(outcomes, options.budget)
        lines = [BY_FOLD.format(folds=len(folds), budget=options.budget) + " " + definitions, ""]
    else:
        thresholds = {label: manifest.threshold(label) for label in outcomes.labels}
        judged = at_thresholds(outcomes.trials, outcomes.labels, manifest.detector, period_s, thresholds)
        lines = [AS_IT_IS.format(model=manifest.name) + " " + definitions, ""]
    if untried := [label for label in manifest.reported if label not in outcomes.tried]:
        lines += [
            f"Not tried, for want of recordings: {some_of(untried, SHOWN_LABELS)}. Their thresholds are left alone.",
            "",
        ]
    lines += _not_labels("sound in which every event is a false alarm", others)
    lines += recall_table(outcomes, judged, snrs_db)
    lines += ["", *negative_table(outcomes, judged)]
    middle_db = sorted(snrs_db)[len(snrs_db) // 2]
    lines += ["", THRESHOLDS.format(budget=options.budget), ""]
    lines += threshold_table(outcomes, options.budget, middle_db)
    if len(folds) > 1:
        lines += ["", "What other budgets would give, judged as above:", "", *budget_table(outcomes, snrs_db)]
    return lines


def _directory(model: Path) -> Path:
    """Return the directory of a model, by its path or name. Raises EdgeaudioError."""
    if model.is_dir():
        return model
    known = bundled_models() | added_models()
    if str(model) not in known:
        raise EdgeaudioError(f"{model}: no such directory or model; there are {', '.join(sorted(known)) or 'none'}")
    return known[str(model)]


def _holds_none(recordings: Path, manifest: Manifest) -> EdgeaudioError:
    return EdgeaudioError(f"{recordings}: holds no recording of {some_of(manifest.reported, SHOWN_LABELS)}")


def _not_labels(becomes: str, others: Sequence[str]) -> list[str]:
    """Return a line, and an empty one, on recordings of labels that the model does not have: a misspelt folder."""
    return [f"Not labels of the model, and so {becomes}: {some_of(others, SHOWN_LABELS)}.", ""] if others else []


def _others(entries: Sequence[Entry], manifest: Manifest) -> list[str]:
    """Return the labels of recordings that the model does not have."""
    return sorted({entry.label for entry in entries if entry.label} - set(manifest.reported))


def _fold_models(options: argparse.Namespace, entries: Sequence[Entry]) -> dict[int, Scorer]:
    trained = {path.name for path in fold_directories(options.model)}
    require_begun_with(options.model, {"seed": str(options.seed), **named(options.recordings, options.negatives)})
    folds = [fold for fold in folds_of(entries) if f"fold-{fold}" in trained]
    if not folds:
        raise EdgeaudioError(f"{options.model}: has no model of the recordings' folds; give those of the training")
    return load_folds(options.model, folds)


def _sounds(folds: Collection[int], entries: Sequence[Entry], manifest: Manifest) -> list[RecordedSounds]:
    """Return the recordings that each fold is evaluated with. A label that the model lacks counts as none."""
    rate = manifest.clip.sample_rate
    labelled: dict[int, dict[str, list[Samples]]] = defaultdict(lambda: defaultdict(list))
    unlabelled: dict[int, list[Samples]] = defaultdict(list)
    for entry in tqdm([e for e in entries if e.fold in folds], desc="reading", unit="file", leave=False):
        samples = without_padding(read_audio(entry.path, rate))
        if is_sounding(samples, rate):
            known = entry.label if entry.label in manifest.reported else None
            (labelled[entry.fold][known] if known else unlabelled[entry.fold]).append(samples)
    return [RecordedSounds(fold, rate, dict(sorted(labelled[fold].items())), unlabelled[fold]) for fold in folds]


def _hear(
    models: Mapping[int, Scorer], sounds: Sequence[RecordedSounds], manifest: Manifest, options: argparse.Namespace
) -> list[Trial]:
    trials: list[Trial] = []
    for of_fold in sounds:
        stretches = of_fold.stretches(options.snr, _scene_s(manifest), options.seed)
        shown = tqdm(stretches, desc=f"fold {of_fold.fold}", unit="stretch", leave=False)
        trials += (listen(models[of_fold.fold], stretch, of_fold.fold, of_fold.sample_rate) for stretch in shown)
    return trials


def _scene_s(manifest: Manifest) -> float:
    """Return a length of scenes that holds several clips after the sound's onset, seconds."""
    return max(SCENE_S, ONSET_S[1] + SCENE_CLIPS * manifest.clip.n_samples / manifest.clip.sample_rate)


if __name__ == "__main__":
    raise SystemExit(main())
