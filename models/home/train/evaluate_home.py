"""Evaluate the household model on sound that it was not trained on, and choose the thresholds to ship.

    python -m models.home.train.evaluate_home RUN --data ../shared/data --model models/home --card CARD.md

RUN/fold-1, RUN/fold-2, ... are the model directories of the cross-validation: each was trained without that fold of the
recordings, and is evaluated on it. Each fold is judged at thresholds that the other folds give; the thresholds
of all folds together go into `--model`. Prints Markdown tables; `--card` puts them into the model card.

Owns: the order of the steps and the tables. Does not know: how scenes are made (`home_scenes.py`), how events are
counted and thresholds chosen (`event_trials.py`).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# BLAS reads it as NumPy is imported: its threads spin between products, for ten times the processor time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import FILE_NAME, Manifest
from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.pipeline import Scorer
from models.home.train.home_scenes import Sounds, read_sounds
from tools.synth.event_scenes import SNRS_DB
from tools.training.command import exit_status
from tools.training.event_report import budget_table, negative_table, recall_table, threshold_table, write_thresholds
from tools.training.event_trials import Outcomes, Stretch, Trial, calibrate, go_over, judge, listen
from tools.training.model_card import replace_section
from tools.training.runs import fold_directories, load_folds

SECTION = "Events"

DEFINITIONS = (
    "What is judged are the {folds} models of the cross-validation, each on sound that it never saw and at "
    "thresholds that the other folds gave. The bundled model was trained on all folds: no recording is left to "
    "judge its events on, and its thresholds come from all folds together.\n\n"
    "A scene is 20 s of other sound with one labelled sound that begins 6 to 9 s into it. The labelled sounds are "
    "every recording of the fold, once per SNR, and {trials} sounds per fold and SNR where they are synthesised or "
    "spoken (alarms and sirens of 10 s; half of the speech is digits, half espeak-ng). The other sound is "
    "recordings of the fold under another label, drone and hydrophone recordings and a speaker's digits that were "
    "not trained on, espeak-ng in voices and sentences that were not trained on, or synthesised, each as often as "
    "the next, over a little noise. One scene in two goes through a room, a microphone and a codec; the other is "
    "plain.\n\n"
    "The SNR is the RMS of the sound's sounding parts (pieces of 25 ms at most 20 dB under the loudest) against the "
    "background's RMS from the sound's beginning to its end. A sound is found if an event of its label begins after "
    "it does and by the end of the last clip that holds some of it; the delay is from its beginning to the end of "
    "the clip that made the event known. What a recording holds is taken from its folder's name. Seed {seed}."
)
NEGATIVES = (
    "False alarms are events of a label that is not in the sound; an hour is as many clips as an hour gives. A fold's "
    "recordings are heard by its own model alone; drones, hydrophones and digits by every model. Beeps and rings are "
    "made to resemble alarms; an hour of nothing else is no house's, and does not count in the sum:"
)
THRESHOLDS = (
    "The thresholds of all folds together, and what they give on the sound that they were chosen on. The labels share "
    "{budget:g} false alarms an hour (scenes and negatives, without the beeps and rings), and each is spent where it "
    "finds most (`calibrate` in `tools/training/event_trials.py`):"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="evaluate_home", description="Measures and calibrates events by fold.")
    parser.add_argument("run", type=Path, help="folder with the model directories fold-1, fold-2, ...")
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings (esc10, speech_digits, ...)")
    parser.add_argument("--model", type=Path, help="model directory whose thresholds are replaced")
    parser.add_argument("--card", type=Path, help=f"model card whose section {SECTION!r} is replaced")
    parser.add_argument(
        "--trials", type=int, default=16, help="scenes per fold and SNR of a label without recordings (default: 16)"
    )
    parser.add_argument("--hours", type=float, default=1.0, help="hours per made-up part of negatives (default: 1)")
    parser.add_argument(
        "--budget", type=float, default=1.0, help="false alarms an hour to calibrate for, in all (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args(arguments)
    return exit_status(parser.prog, lambda: evaluate(options))


def evaluate(options: argparse.Namespace) -> None:
    """Score, calibrate, evaluate, print and write."""
    if options.card and not options.card.is_file():
        raise EdgeaudioError(f"{options.card}: no such file; write the model card first, or leave --card out")
    bundled = read_manifest(options.model / FILE_NAME) if options.model else None
    trained = fold_directories(options.run)
    sounds = read_sounds(options.data, load_model(trained[0]).manifest.clip.sample_rate)
    models = load_folds(options.run, sounds, bundled)
    manifest = bundled or models[min(models)].manifest
    outcomes = hear(models, sounds, manifest, options)
    if not outcomes.tried:
        raise EdgeaudioError(f"{options.run}: there is no sound to try {', '.join(manifest.labels)} with")
    lines = report(outcomes, options)
    print("\n".join(lines))
    if options.card:
        replace_section(options.card, SECTION, lines)
    if options.model:
        write_thresholds(options.model / FILE_NAME, calibrate(outcomes, options.budget))


def hear(
    models: Mapping[int, Scorer], sounds: Mapping[int, Sounds], manifest: Manifest, options: argparse.Namespace
) -> Outcomes:
    """Return the trials of every fold: its scenes and negatives, scored by its model."""
    made_s = options.hours * 3600 / len(sounds)
    trials: list[Trial] = []
    for fold, model in models.items():
        everything = stretches(sounds[fold], manifest.labels, options.trials, made_s, options.seed)
        shown = tqdm(everything, desc=f"fold {fold}", unit="stretch", leave=False)
        trials += (listen(model, stretch, fold, manifest.clip.sample_rate) for stretch in shown)
    return go_over(trials, manifest.reported, manifest.detector, manifest.clip.period_ms / 1000)


def stretches(sounds: Sounds, labels: Sequence[str], made: int, made_s: float, seed: int) -> Iterator[Stretch]:
    """Yield all scenes and negatives of one fold, the same for the same seed."""
    for index, label in enumerate(labels):
        for snr_db in SNRS_DB:
            for trial in range(sounds.trials(label, made)):
                rng = np.random.default_rng((seed, sounds.fold, index, snr_db, trial))
                yield sounds.scene(label, snr_db, trial, rng)
    yield from sounds.negatives(made_s, np.random.default_rng((seed, sounds.fold)))


def report(outcomes: Outcomes, options: argparse.Namespace) -> list[str]:
    """Return the report as lines of Markdown."""
    judged = judge(outcomes, options.budget)
    lines = [DEFINITIONS.format(folds=len(outcomes.folds), trials=options.trials, seed=options.seed), ""]
    if untried := [label for label in outcomes.labels if label not in outcomes.tried]:
        lines += [f"Not tried, for want of sound: {', '.join(untried)}. Their thresholds are left alone.", ""]
    lines += recall_table(outcomes, judged, SNRS_DB)
    lines += ["", NEGATIVES, "", *negative_table(outcomes, judged)]
    lines += ["", THRESHOLDS.format(budget=options.budget), "", *threshold_table(outcomes, options.budget, 10)]
    lines += ["", "What other budgets would give, judged as above (`--budget`):", "", *budget_table(outcomes, SNRS_DB)]
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
