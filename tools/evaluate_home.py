"""How well the household model's recipe finds events, on sound it was not trained on; and the thresholds to ship.

    python -m tools.evaluate_home RUN --data ../shared/data [--model models/home --card models/home/README.md]

RUN/fold-1, RUN/fold-2, ... are the model directories that the cross-validation left: each was trained without that
fold of the recordings, and is tried on it. Each fold is judged at thresholds that the other folds give; the thresholds
of all folds together go into `--model`. Prints Markdown tables; `--card` puts them into the model card.

Owns: the order of the steps and the tables. Does not know: how scenes are made (`home_scenes.py`), how events are
counted and thresholds chosen (`event_trials.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import FILE_NAME, Manifest, manifest_toml, read_manifest
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.pipeline import Scorer
from tools.command import exit_status
from tools.event_trials import Judged, Outcomes, Trial, at, calibrate, go_over, judge, listen, threshold
from tools.home_scenes import LOOKALIKES, SNRS_DB, Sounds, Stretch, read_sounds
from tools.model_card import replace_section

SECTION = "Events"
BUDGETS = (0.5, 1.0, 2.0, 4.0, 8.0)  # false alarms an hour, for the table of what each costs

DEFINITIONS = (
    "What is judged are the {folds} models of the cross-validation, each on sound that it never saw and at "
    "thresholds that the other folds gave. The shipped model was trained on all folds: no recording is left to "
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
    "finds most (`calibrate` in `tools/event_trials.py`):"
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
    """Everything: hear, calibrate, judge, print, write."""
    if options.card and not options.card.is_file():
        raise EdgeaudioError(f"{options.card}: no such file; write the model card first, or leave --card out")
    shipped = read_manifest(options.model / FILE_NAME) if options.model else None
    trained = sorted(options.run.glob("fold-*"))
    if not trained:
        raise EdgeaudioError(f"{options.run}: no model directories fold-1, fold-2, ... there; train with folds first")
    sounds = read_sounds(options.data, load_model(trained[0]).manifest.clip.sample_rate)
    models: dict[int, Scorer] = {fold: load_model(options.run / f"fold-{fold}") for fold in sounds}
    manifest = shipped or models[min(models)].manifest
    for fold, model in models.items():
        if _heard_by(model.manifest) != _heard_by(manifest):
            other = options.model or options.run / f"fold-{min(models)}"
            raise EdgeaudioError(f"{options.run / f'fold-{fold}'}: its labels or clips are not those of {other}")
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
    """Every fold's scenes and negatives as its model and the manifest's detector take them."""
    made_s = options.hours * 3600 / len(sounds)
    trials: list[Trial] = []
    for fold, model in models.items():
        everything = stretches(sounds[fold], manifest.labels, options.trials, made_s, options.seed)
        shown = tqdm(everything, desc=f"fold {fold}", unit="stretch", leave=False)
        trials += (listen(model, stretch, fold, manifest.clip.sample_rate) for stretch in shown)
    return go_over(trials, manifest.reported, manifest.detector, manifest.clip.period_ms / 1000)


def stretches(sounds: Sounds, labels: Sequence[str], made: int, made_s: float, seed: int) -> Iterator[Stretch]:
    """All scenes and negatives of one fold; the same ones for the same seed, whatever came before."""
    for index, label in enumerate(labels):
        for snr_db in SNRS_DB:
            for trial in range(sounds.trials(label, made)):
                rng = np.random.default_rng((seed, sounds.fold, index, snr_db, trial))
                yield sounds.scene(label, snr_db, trial, rng)
    yield from sounds.negatives(made_s, np.random.default_rng((seed, sounds.fold)))


def write_thresholds(file: Path, chosen: Mapping[str, float]) -> None:
    """Replace the thresholds of those labels in a manifest; the rest of it stays."""
    manifest = read_manifest(file)
    thresholds = {**manifest.thresholds, **{label: threshold(on) for label, on in chosen.items()}}
    file.write_text(manifest_toml(replace(manifest, thresholds=thresholds)))


def report(outcomes: Outcomes, options: argparse.Namespace) -> list[str]:
    """Lines of Markdown with every figure."""
    judged = judge(outcomes, options.budget)
    folds = len(set(outcomes.fold.tolist()))
    lines = [DEFINITIONS.format(folds=folds, trials=options.trials, seed=options.seed), ""]
    if untried := [label for label in outcomes.labels if label not in outcomes.tried]:
        lines += [f"Not tried, for want of sound: {', '.join(untried)}. Their thresholds are left alone.", ""]
    lines += _recall_table(outcomes, judged)
    lines += ["", NEGATIVES, "", *_negative_table(outcomes, judged)]
    lines += ["", THRESHOLDS.format(budget=options.budget), "", *_threshold_table(outcomes, options.budget)]
    lines += ["", "What other budgets would give, judged as above (`--budget`):", "", *_budget_table(outcomes)]
    return lines


def _recall_table(outcomes: Outcomes, judged: Judged) -> list[str]:
    lines = ["| label | SNR | scenes | found | delay, median | delay, 95 % |", "|---|---|---|---|---|---|"]
    for label in outcomes.tried:
        for snr_db in SNRS_DB:
            delays_s = judged.delay_s[outcomes.scenes(label, snr_db)]
            lines.append(f"| {label} | {snr_db} dB | {len(delays_s)} | {_share(delays_s)} | {_delays(delays_s)} |")
    for snr_db in SNRS_DB:
        groups = [judged.delay_s[outcomes.scenes(label, snr_db)] for label in outcomes.tried]
        together = np.concatenate(groups)
        share = _mean_share(outcomes, judged, snr_db)
        lines.append(f"| **mean of the labels** | {snr_db} dB | {len(together)} | {share:.1%} | {_delays(together)} |")
    return lines


def _negative_table(outcomes: Outcomes, judged: Judged) -> list[str]:
    lines = ["| sound | hours | false alarms | an hour |", "|---|---|---|---|"]
    kinds = np.array([trial.kind for trial in outcomes.trials])
    negative = outcomes.negative
    lines += [_negative_row(str(kind), kinds == kind, outcomes, judged) for kind in np.unique(kinds[negative])]
    lines.append(_negative_row("the scenes of the table above", ~negative, outcomes, judged))
    lines.append(_negative_row(f"**all of these but {LOOKALIKES}**", outcomes.everyday, outcomes, judged))
    return lines


def _negative_row(name: str, chosen: NDArray[np.bool_], outcomes: Outcomes, judged: Judged) -> str:
    counts = judged.false[chosen].sum(axis=0)
    named = [f"{counts[i]} {outcomes.labels[i]}" for i in np.argsort(-counts, kind="stable") if counts[i]]
    hours = outcomes.heard_s[chosen].sum() / 3600
    return f"| {name} | {hours:.2f} | {', '.join(named) or 'none'} | {_rate(int(counts.sum()), hours)} |"


def _heard_by(manifest: Manifest) -> tuple[object, ...]:
    return manifest.labels, manifest.groups, manifest.clip


def _threshold_table(outcomes: Outcomes, budget: float) -> list[str]:
    chosen = calibrate(outcomes, budget)
    pooled = at(outcomes, dict.fromkeys(set(outcomes.fold.tolist()), chosen))
    hours = outcomes.heard_s[outcomes.everyday].sum() / 3600
    lines = ["| label | on | off | found, 10 dB | false alarms an hour |", "|---|---|---|---|---|"]
    for label, on in chosen.items():
        false = int(pooled.false[outcomes.everyday, outcomes.labels.index(label)].sum())
        found = _share(pooled.delay_s[outcomes.scenes(label, 10)])
        lines.append(f"| {label} | {on:g} | {threshold(on).off:g} | {found} | {_rate(false, hours)} |")
    return lines


def _budget_table(outcomes: Outcomes) -> list[str]:
    found = " | ".join(f"found, {snr_db} dB" for snr_db in SNRS_DB)
    lines = [f"| budget | {found} | false alarms an hour |", "|---|" + "---|" * len(SNRS_DB) + "---|"]
    hours = outcomes.heard_s[outcomes.everyday].sum() / 3600
    for budget in BUDGETS:
        judged = judge(outcomes, budget)
        shares = " | ".join(f"{_mean_share(outcomes, judged, snr_db):.1%}" for snr_db in SNRS_DB)
        lines.append(f"| {budget:g} | {shares} | {_rate(int(judged.false[outcomes.everyday].sum()), hours)} |")
    return lines


def _mean_share(outcomes: Outcomes, judged: Judged, snr_db: int) -> float:
    """Share of scenes found at an SNR, every label counting as much as the next."""
    groups = [judged.delay_s[outcomes.scenes(label, snr_db)] for label in outcomes.tried]
    return float(np.mean([np.mean(~np.isnan(delays_s)) for delays_s in groups]))


def _share(delays_s: NDArray[np.float64]) -> str:
    return f"{np.mean(~np.isnan(delays_s)):.0%}"


def _delays(delays_s: NDArray[np.float64]) -> str:
    found_s = delays_s[~np.isnan(delays_s)]
    return " | ".join(f"{np.quantile(found_s, q):.1f} s" if found_s.size else "-" for q in (0.5, 0.95))


def _rate(count: int, hours: float) -> str:
    return f"{count / hours:.2f}" if hours else "-"


if __name__ == "__main__":
    raise SystemExit(main())
