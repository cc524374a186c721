"""Measure the errors of events' times: sounds that begin and end at known moments, in other sound.

    python -m tools.maintenance.onset_errors --data ../shared/data [--card docs/architecture.md]

Prints Markdown; `--card` puts it into a document, under its heading.

Owns: what is measured and the tables. Does not know: how scenes are made (home_scenes.py), how a date is found
(edgeaudio/recognise/dating.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from edgeaudio.api import load_model
from edgeaudio.recognise.detector import Detector, DetectorConfig
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.types import Event, Scores
from models.home.train.home_scenes import Sounds, read_sounds
from tools.synth.event_scenes import SNRS_DB
from tools.training.command import exit_status
from tools.training.event_trials import NAMESPACE, START, Trial, listen
from tools.training.model_card import replace_section

SECTION = "How well sounds are dated"
SCENE_S = 32.0  # long enough to see a sound out of the clips, and the hold of the bundled models over
EPOCH_LEAD_S = 3.0  # a recording that begins shortly before a sound begins so long before it, at most
MODELS = ("home", "alarms")
COLUMNS = "by the middle, median | median | 90 % | holds"

DEFINITIONS = (
    "`python -m tools.maintenance.onset_errors` (seed {seed}, {trials} scenes for each label and SNR) measured the "
    "bundled models. A scene is {scene_s:g} s of background sound. A recording, a synthesised alarm or a spoken "
    "sentence begins 6 to 9 s into it, at one of three SNRs; half of the scenes pass through a room, a microphone "
    "and a codec. The true beginning and end of a sound are those of its pieces of 25 ms that are within 20 dB of "
    "its loudest piece. The models were trained on some of the recordings. Only events that a model finds are "
    "counted, so the table shows the error of their times, and not how many are found.\n\n"
    "`by the middle` is the rule that was used before: an event begins in the middle of the clip that completes the "
    "votes, less half a period, and likewise for ends. `holds` is the share of times that are no farther off than "
    "their `at_error_s`. In the last row of each model the recording begins up to {lead_s:g} s before the sound, so "
    "nothing shows what came before the first clip."
)


@dataclass(frozen=True, slots=True)
class Miss:
    """Error of one time, in seconds: later is positive."""

    row: str
    kind: str  # of the event
    now_s: float
    by_middle_s: float
    error_s: float  # what the event says


def main() -> int:
    """Measure the models that are named, and print what was found."""
    parser = argparse.ArgumentParser(prog="tools.maintenance.onset_errors", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the collections of recordings")
    parser.add_argument("--models", nargs="+", default=MODELS, help="models to measure")
    parser.add_argument("--trials", type=int, default=6, help="scenes of a label at an SNR")
    parser.add_argument("--seed", type=int, default=20, help="of everything that is drawn")
    parser.add_argument("--card", type=Path, help="document to put the tables into")
    options = parser.parse_args()
    return exit_status("tools.maintenance.onset_errors", lambda: _measure(options))


def _measure(options: argparse.Namespace) -> None:
    lines = [
        DEFINITIONS.format(seed=options.seed, trials=options.trials, scene_s=SCENE_S, lead_s=EPOCH_LEAD_S),
        "",
        f"| model | sound | {' | '.join(f'{kind} | {COLUMNS}' for kind in ('beginnings', 'ends'))} |",
        "|---" * 12 + "|",
    ]
    for name in options.models:
        model = load_model(name)
        sounds = read_sounds(options.data, model.manifest.clip.sample_rate)
        rng = np.random.default_rng(options.seed)
        misses: list[Miss] = []
        for stretch_of in tqdm(list(_scenes(model.manifest, sounds, options.trials)), desc=name):
            label, snr_db, fold, trial = stretch_of
            scene_rng = np.random.default_rng((options.seed, fold, model.manifest.labels.index(label), snr_db, trial))
            number = int(scene_rng.integers(sounds[fold].trials(label, options.trials)))
            stretch = sounds[fold].scene(label, snr_db, number, scene_rng, scene_s=SCENE_S)
            heard = listen(model, stretch, fold, model.manifest.clip.sample_rate)
            misses += misses_of(heard, model.manifest, f"{snr_db} dB")
            lead_s = rng.uniform(0, EPOCH_LEAD_S)
            misses += [
                miss for miss in misses_of(heard, model.manifest, "begins late", lead_s=lead_s) if miss.kind == "onset"
            ]
        lines += table(name, misses)
    print("\n".join(lines))
    if options.card:
        replace_section(options.card, SECTION, lines)


def _scenes(manifest: Manifest, sounds: dict[int, Sounds], trials: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield label, SNR, fold and number of every scene; the folds take turns."""
    folds = sorted(sounds)
    for label in manifest.labels:
        for snr_db in SNRS_DB:
            for trial in range(trials):
                fold = folds[trial % len(folds)]
                if sounds[fold].trials(label, trials):
                    yield label, snr_db, fold, trial


def misses_of(trial: Trial, manifest: Manifest, row: str, *, lead_s: float | None = None) -> Iterator[Miss]:
    """Return the errors of the first event that is reported while clips hold the scene's sound.

    lead_s: hear the scene only from so long before the sound on; None: from its beginning.
    """
    target = trial.target
    if target is None:
        raise ValueError("a negative has no sound of its own")
    from_s = 0.0 if lead_s is None else target.onset_s - lead_s
    clips = [scores for scores in trial.scores if scores.offset_s >= from_s]
    period_s = manifest.period_s
    found = None
    for event, clip in _events(clips, manifest, target.label):
        known_s, middle_s = clip.offset_s + clip.duration_s, clip.offset_s + clip.duration_s / 2
        if event.kind == "onset" and found is None and target.onset_s < known_s < target.end_s + clip.duration_s:
            found = event.id
            by_middle_s = middle_s - event.duration_s + period_s / 2
            true_s = max(target.onset_s, clips[0].offset_s)
        elif event.kind == "offset" and event.id == found:
            held_s = period_s * max(1, ceil(manifest.detector.hold_s / period_s))
            by_middle_s = middle_s - held_s + period_s / 2
            true_s = target.end_s
        else:
            continue
        yield Miss(row, event.kind, _seconds(event.at) - true_s, by_middle_s - true_s, event.at_error_s or 0.0)


def _events(clips: Iterable[Scores], manifest: Manifest, label: str) -> Iterator[tuple[Event, Scores]]:
    """Return the events of one label at the manifest's thresholds, each with the clip that reported it."""
    thresholds = {name: manifest.threshold(name) for name in manifest.reported}
    period_s = manifest.period_s
    config = DetectorConfig(manifest.reported, manifest.detector, thresholds, period_s, frozenset({label}))
    detector = Detector(config, NAMESPACE)
    for clip in clips:
        for event in detector.feed(clip):
            yield event, clip


def table(model: str, misses: Sequence[Miss]) -> list[str]:
    """Return a row for each kind of scene, and one for all that are heard from their beginning."""
    rows = list(dict.fromkeys(miss.row for miss in misses))
    scenes = [row for row in rows if row != "begins late"]
    lines = [_row(model, row, [miss for miss in misses if miss.row == row]) for row in scenes]
    lines.append(_row(model, "**all of these**", [miss for miss in misses if miss.row in scenes]))
    lines += [_row(model, row, [miss for miss in misses if miss.row == row]) for row in rows if row not in scenes]
    return lines


def _row(model: str, row: str, misses: Sequence[Miss]) -> str:
    cells = [model, row]
    for kind in ("onset", "offset"):
        chosen = [miss for miss in misses if miss.kind == kind]
        if not chosen:
            cells += [""] * 5
            continue
        now_s = np.abs([miss.now_s for miss in chosen])
        holds = np.mean([abs(miss.now_s) <= miss.error_s for miss in chosen])
        cells += [
            str(len(chosen)),
            f"{np.median(np.abs([miss.by_middle_s for miss in chosen])):.2f} s",
            f"{np.median(now_s):.2f} s",
            f"{np.quantile(now_s, 0.9):.2f} s",
            f"{holds:.0%}",
        ]
    return f"| {' | '.join(cells)} |"


def _seconds(at: datetime) -> float:
    return (at - START).total_seconds()


if __name__ == "__main__":
    raise SystemExit(main())
