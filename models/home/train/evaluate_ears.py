"""Evaluate a household model, YAMNet and home-plus, which fuses them, over kinds of background unknown to thresholds.

    python -m models.home.train.evaluate_ears runs/home --yamnet DIR --data ../shared/data --cache ~/.cache/house

MODEL is the folder of a training (each fold's model hears the sounds and the kinds of background of its own fold, on
which it was not trained) or a model directory; with `--unseen`, ESC-10 is left out, on which models/home as shipped was
trained. 160 sounds at three SNRs make 480 scenes of 30 s; each kind of background is heard alone, too. Scores are kept
in `--work`: combinations cost seconds.

Owns: the order of the steps.
Does not know: which sounds (`house_events.py`, `house_backgrounds.py`), how scenes are made, scored and judged.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# BLAS reads it as NumPy is imported: its threads spin between products, for ten times the processor time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import edgeaudio
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.fusion import MemberOutput
from edgeaudio.recognise.manifest import FILE_NAME, Manifest
from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.recognise.model import Model, load_model
from edgeaudio.recognise.pipeline import Scorer
from models.home.train.home_plus_labels import ALSO, LABELS
from models.home.train.house_backgrounds import MINUTES, write_backgrounds
from models.home.train.house_events import write_events
from models.home.train.house_sources import fetch
from tools.synth.event_scenes import SNRS_DB
from tools.synth.kind_scenes import KindScenes, dealt, read_kinds
from tools.training import kind_report
from tools.training.command import exit_status
from tools.training.dataset import read_dataset
from tools.training.event_trials import Outcomes, Trial, go_over
from tools.training.kind_trials import hear
from tools.training.runs import fold_directories, load_folds
from tools.training.score_mixes import Heard, fused, renamed
from tools.training.whole_recordings import hear_whole, share_named

HOME = Path(__file__).resolve().parents[1]
SCENE_S = 30.0
ESC10 = "esc10"
CATALOGUE = Path(edgeaudio.__file__).with_name("catalogue")
ANNOUNCED = "YAMNet by its own groups"
CLOSEST = {name: LABELS[also].yamnet for name, also in ALSO.items()}  # of YAMNet's groups


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="evaluate_ears", description="Judges over kinds of background.")
    parser.add_argument("model", type=Path, help="folder of a training by folds, or a model directory")
    parser.add_argument(
        "--yamnet", type=Path, help="model directory of YAMNet (edgeaudio model init), to judge with it"
    )
    parser.add_argument(
        "--fused", type=Path, default=CATALOGUE / "home-plus" / FILE_NAME, metavar="FILE",
        help="with --yamnet: manifest of the fused model that is judged, too (default: home-plus of the catalogue)",
    )  # fmt: skip
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
    first = models[min(models)].manifest
    manifest = first if (options.model / FILE_NAME).is_file() else as_shipped(first)
    entries = tuple(entry for entry in read_dataset(events, [], options.seed) if entry.fold in models)
    kinds = tuple(read_kinds(backgrounds))
    folds = dealt([kind.name for kind in kinds], sorted(models))
    scenes = KindScenes(kinds, entries, SNRS_DB, SCENE_S, options.seed, folds)
    scores = options.work / "scores"
    recordings = (
        () if options.unseen else tuple(e for e in read_dataset(options.data / ESC10, [], 0) if e.fold in models)
    )
    trials = {"home": hear(models, scenes, scores)}
    whole = {"home": [hear_whole(models[entry.fold], entry) for entry in recordings]}
    manifests = {"home": manifest}
    if options.yamnet:
        yamnet = _single(load_model(options.yamnet, groups=read_manifest(CATALOGUE / "yamnet" / FILE_NAME).groups))
        heard = hear(dict.fromkeys(models, yamnet), scenes, scores)
        heard_whole = [hear_whole(yamnet, entry) for entry in recordings]
        columns = columns_of(yamnet.manifest)
        trials["YAMNet"], whole["YAMNet"] = renamed(heard, columns), renamed(heard_whole, columns)
        manifests["YAMNet"] = replace(
            yamnet.manifest, labels=tuple(LABELS), groups={}, thresholds={}, announce=(), entities={}
        )
        both = read_manifest(options.fused)
        members = {"home": _single(models[min(models)]), "yamnet": yamnet}
        trials[both.name] = also_named(of_fused(both, {"home": trials["home"], "yamnet": heard}, members))
        whole[both.name] = of_fused(both, {"home": whole["home"], "yamnet": heard_whole}, members)
        manifests[both.name] = both
        announced = announced_alone(read_manifest(CATALOGUE / "yamnet" / FILE_NAME))
        trials[ANNOUNCED] = of_announced(announced, yamnet.manifest.reported, heard)
        manifests[ANNOUNCED] = announced
    outcomes = {
        name: go_over(of_model, manifests[name].reported, manifests[name].detector, manifests[name].period_s)
        for name, of_model in trials.items()
    }
    named = {
        name: share_named(of_model, manifests[name].reported, manifest.labels)
        for name, of_model in whole.items()
        if of_model
    }
    write_report(outcomes, manifests, named, options)


def as_shipped(manifest: Manifest) -> Manifest:
    """Return the manifest of a fold's model with the detector and the thresholds of models/home: it has none itself."""
    shipped = read_manifest(HOME / FILE_NAME)
    if shipped.labels != manifest.labels:
        return manifest
    return replace(manifest, detector=shipped.detector, thresholds=shipped.thresholds)


def of_fused(manifest: Manifest, trials: Mapping[str, Sequence[Trial]], models: Mapping[str, Model]) -> list[Trial]:
    """Return the trials of a fused model, by its members' names, from theirs.

    Raises:
        EdgeaudioError: It is not made of these, or has other clips than its first member, whose are scored.
    """
    first = manifest.fuse[0].model if manifest.fuse else ""
    if first not in models:
        raise EdgeaudioError(f"{manifest.name}: its first member is none of {', '.join(models)}")
    if manifest.clip != models[first].manifest.clip:
        raise EdgeaudioError(f"{manifest.name}: its [clip] is not that of {first}, whose clips are scored")
    heard = {
        name: Heard(MemberOutput(model.manifest.reported, model.quantum), trials[name])
        for name, model in models.items()
    }
    return fused(manifest, heard)


def also_named(trials: Sequence[Trial]) -> list[Trial]:
    """Return trials in which the second label of a sound (ALSO) is no false alarm either."""
    return [
        replace(trial, present=trial.present | {ALSO[label] for label in trial.present if label in ALSO})
        for trial in trials
    ]


def columns_of(yamnet: Manifest) -> list[list[int]]:
    """Return, for each label of home-plus, where YAMNet's score for it is: its closest, where it has no say there."""
    return [[yamnet.reported.index(label.yamnet or CLOSEST[name])] for name, label in LABELS.items()]


def announced_alone(yamnet: Manifest) -> Manifest:
    """Return YAMNet's manifest with the labels and groups that it announces as its only labels."""
    thresholds = {label: yamnet.threshold(label) for label in yamnet.announce}
    return replace(yamnet, labels=yamnet.announce, groups={}, thresholds=thresholds, entities={})


def of_announced(announced: Manifest, reported: Sequence[str], heard: Sequence[Trial]) -> list[Trial]:
    """Return the trials of YAMNet by what it announces; the labels of scenes are its names for them, or the closest.

    reported: Of the scores of `heard`.
    """
    names = {name: label.yamnet for name, label in LABELS.items() if label.yamnet in announced.labels} | CLOSEST

    def named(label: str) -> str:
        return label if label in announced.labels else names.get(label, label)

    return [
        replace(
            trial,
            present=frozenset(map(named, trial.present)),
            target=trial.target and replace(trial.target, label=named(trial.target.label)),
        )
        for trial in renamed(heard, [[reported.index(label)] for label in announced.labels])
    ]


def write_report(
    outcomes: Mapping[str, Outcomes],
    manifests: Mapping[str, Manifest],
    named: Mapping[str, float],
    options: argparse.Namespace,
) -> None:
    """Print tables of all models, and write the figures and the picture that are asked for.

    named: By model, the share of ESC-10's recordings that it gives their label.
    """
    rows = {
        name: kind_report.rows_of(of_model, manifests[name], SNRS_DB, options.budget)
        for name, of_model in outcomes.items()
    }
    own = rows.pop(ANNOUNCED, None)
    print("\n".join(tables(rows, named)))
    if own:
        print(f"\n{ANNOUNCED}:\n", *own_tables(own), sep="\n")
    for name, of_model in outcomes.items():
        if manifests[name].fuse and (lines := kind_report.unproven_table(of_model)):
            print(f"\n{name}, labels without scenes:\n", *lines, sep="\n")
    if options.json:
        figures = {"seed": options.seed, "models": rows, ESC10: named} | ({ANNOUNCED: own} if own else {})
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    if options.picture:
        from tools.training.pictures import draw_recall_by_false_alarms  # noqa: PLC0415 - Matplotlib

        curves = {name: kind_report.curves(of_model, 10) for name, of_model in outcomes.items()}
        draw_recall_by_false_alarms(curves, options.picture, snr_db=10)


def tables(rows: Mapping[str, Mapping[str, Mapping[str, Any]]], named: Mapping[str, float]) -> list[str]:
    """Return the tables of all models: rows by model and by where its thresholds come from."""
    summary = {
        f"{name}, {origin}": row
        for name, origins in rows.items()
        for origin, row in origins.items()
        if origin != "manifest" or name != "YAMNet"  # whose thresholds are of other labels
    }
    lines = [*kind_report.summary_table(summary, SNRS_DB), ""]
    if named:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in named.items())
        lines += [f"ESC-10's recordings by their best mean score, of models without their fold: {shares}.", ""]
    for name, origins in rows.items():
        of_all = origins["all kinds"]
        lines += [f"{name}, all kinds:", "", *kind_report.recall_table(of_all, of_all["thresholds"], SNRS_DB), ""]
    kinds = {"home, manifest": rows["home"]["manifest"]}
    kinds |= {f"{name}, other kinds": origins["other kinds"] for name, origins in rows.items()}
    return lines + kind_report.kind_table(kinds)


def own_tables(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the tables of YAMNet by what it announces: rows by where its thresholds come from."""
    of_all = rows["all kinds"]
    return [
        *kind_report.summary_table(rows, SNRS_DB), "",
        *kind_report.recall_table(of_all, of_all["thresholds"], SNRS_DB),
    ]  # fmt: skip


def _models(path: Path) -> dict[int, Scorer]:
    """Return the models of a training by fold, or one model for every fold."""
    if (path / FILE_NAME).is_file():
        return dict.fromkeys((1, 2, 3, 4), load_model(path))
    return load_folds(path, [int(directory.name.split("-")[1]) for directory in fold_directories(path)])


def _single(model: Scorer) -> Model:
    if not isinstance(model, Model):
        raise EdgeaudioError(f"{model.manifest.name}: is a fused model; give its members themselves")
    return model


if __name__ == "__main__":
    raise SystemExit(main())
