"""The report of an evaluation by kinds of background: numbers as JSON, tables of Markdown, curves for a picture.

Owns: the figures that a model is compared by. Does not know: sound, models, files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeaudio.recognise.manifest import Manifest
from tools.training.event_trials import GRID, Judged, Outcomes, at, at_thresholds, calibrate, judge

BUDGETS = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # asked for, false alarms an hour
RAISES = (4.0, 3.0, 2.5, 2.0, 1.5, 1.25, 1.0, 0.75, 0.5, 0.25)  # of the strictest thresholds, times each label's spread
EVEN = 0.5  # logits: what a label is raised by that does with one threshold over all kinds
WORST = 3.0  # times the budget: what one kind of background may have of it
IMPULSIVE = ("dog_bark", "person_sneeze", "glass")  # whose delay is a figure of its own
UNPROVEN = (0.3, 0.5, 0.7, 0.9)  # thresholds that a label without scenes is shown at
ROUNDING = 1e-9
POOR = 0.5  # a label that is found less often is named


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """What a model does at one budget, every kind at thresholds that the other kinds gave."""

    budget: float
    raised: float  # of the thresholds over what the budget gives, times the spread of each label
    judged: Judged


def operating_point(outcomes: Outcomes, an_hour: float) -> Point:
    """Return the most lenient thresholds that leave `an_hour` false alarms on kinds that they were not chosen on.

    The budget of a calibration is kept to on the kinds that it saw; a kind that it did not see gives more. Where even
    the strictest budget leaves too many, thresholds are raised, each label's by itself (`raised_by`); where that does
    not help either, the strictest are returned.
    """
    hours = outcomes.heard_s[outcomes.budgeted].sum() / 3600
    strict = {fold: thresholds_for(outcomes, BUDGETS[0], fold) for fold in outcomes.folds}
    spreads = {fold: spread(outcomes, fold) for fold in outcomes.folds}
    points = [
        Point(BUDGETS[0], by, at(outcomes, {f: raised_by(on, spreads[f], by) for f, on in strict.items()}))
        for by in RAISES
    ]
    points += [Point(budget, 0.0, judge(outcomes, budget, worst=WORST * budget)) for budget in BUDGETS]
    kept = [point for point in points if point.judged.false[outcomes.budgeted].sum() / hours <= an_hour]
    return kept[-1] if kept else points[0]


def thresholds_at(outcomes: Outcomes, point: Point) -> dict[str, float]:
    """Return the thresholds that all kinds together give by the rule of an operating point."""
    return raised_by(thresholds_for(outcomes, point.budget), spread(outcomes), point.raised)


def raised_by(thresholds: Mapping[str, float], spreads: Mapping[str, float], by: float) -> dict[str, float]:
    """Return thresholds that are raised, in logits, by so many times each label's spread, to the next of GRID.

    What a label needs over a kind that nobody has heard is as uncertain as what it needed over the others is spread: a
    label that did with one threshold over all of them gives up little, one that a single kind forces up gives up much.
    """
    wanted = {label: _logit(on) + (by * (EVEN + spreads[label]) if by else 0.0) for label, on in thresholds.items()}
    return {
        label: next((g for g in GRID if _logit(g) >= logit - ROUNDING), GRID[-1]) for label, logit in wanted.items()
    }


def spread(outcomes: Outcomes, without_fold: int | None = None) -> dict[str, float]:
    """Return, by label, the standard deviation over kinds of background of the threshold that each needs, in logits.

    A kind needs the lowest threshold of GRID from which on it has no false alarm of the label. Trials of `without_fold`
    are not used.
    """
    counted = outcomes.budgeted & (outcomes.fold != without_fold)
    background = outcomes.background
    kinds = [counted & (background == kind) for kind in np.unique(background[counted])]
    logits = np.array([_logit(on) for on in GRID])
    false = np.stack([outcomes.false[:, kind].sum(axis=1) for kind in kinds])  # (kind, grid, label)
    last = np.where(false > 0, np.arange(len(GRID))[None, :, None], -1).max(axis=1)
    needed = logits[np.minimum(last + 1, len(GRID) - 1)]  # (kind, label)
    return dict(zip(outcomes.labels, needed.std(axis=0).tolist(), strict=True))


def _logit(score: float) -> float:
    return math.log(score / (1 - score))


def shipped(outcomes: Outcomes, manifest: Manifest) -> Judged:
    """Return the results at the thresholds of a manifest."""
    thresholds = {label: manifest.threshold(label) for label in outcomes.labels}
    return at_thresholds(outcomes.trials, outcomes.labels, manifest.detector, manifest.period_s, thresholds)


def figures(outcomes: Outcomes, judged: Judged, snrs_db: Sequence[int]) -> dict[str, Any]:
    """Return what was found, how late, and false alarms an hour by kind, as it goes into JSON."""
    middle_db = sorted(snrs_db)[len(snrs_db) // 2]
    labels = {
        label: {str(snr_db): _found(judged, outcomes, label, snr_db) for snr_db in snrs_db} for label in outcomes.tried
    }
    kinds = {str(name): _false(outcomes, judged, str(name)) for name in np.unique(outcomes.background)}
    hours = float(outcomes.heard_s.sum() / 3600)
    impulsive = np.concatenate(
        [judged.delay_s[outcomes.scenes(label, middle_db)] for label in IMPULSIVE if label in labels] or [np.empty(0)]
    )
    worst = max(kinds, key=lambda name: kinds[name]["an_hour"])
    return {
        "found": {str(db): _mean([each[str(db)]["found"] for each in labels.values()]) for db in snrs_db},
        "false_an_hour": round(float(judged.false.sum()) / hours, 2),
        "hours": round(hours, 2),
        "worst_kind": {"kind": worst, "an_hour": kinds[worst]["an_hour"]},
        "poor_labels": sorted(name for name, each in labels.items() if each[str(middle_db)]["found"] < POOR),
        "impulsive_delay_s": _median(impulsive),
        "labels": labels,
        "kinds": kinds,
    }


def curves(outcomes: Outcomes, snr_db: int) -> dict[str, list[tuple[float, float]]]:
    """Return by label its false alarms an hour and its recall at one SNR, a pair for each threshold of GRID."""
    hours = float(outcomes.heard_s.sum() / 3600)
    points = {}
    for label in outcomes.tried:
        column, scenes = outcomes.labels.index(label), outcomes.scenes(label, snr_db)
        rates = outcomes.false[:, :, column].sum(axis=1) / hours
        recalls = (~np.isnan(outcomes.delay_s[:, scenes])).mean(axis=1)
        points[label] = [(float(rate), float(recall)) for rate, recall in zip(rates, recalls, strict=True)]
    return points


def thresholds_for(outcomes: Outcomes, budget: float, without_fold: int | None = None) -> dict[str, float]:
    """Return the thresholds that all kinds together give, or all but one."""
    return calibrate(outcomes, budget, without_fold, worst=WORST * budget)


def pooled(outcomes: Outcomes, chosen: Mapping[str, float]) -> Judged:
    """Return the results of all kinds at the same thresholds."""
    return at(outcomes, dict.fromkeys(outcomes.folds, chosen))


def rows_of(outcomes: Outcomes, manifest: Manifest, snrs_db: Sequence[int], budget: float) -> dict[str, dict[str, Any]]:
    """Return the figures of a model by where its thresholds come from: its manifest, the other kinds, all kinds."""
    point = operating_point(outcomes, budget)
    return {
        "manifest": figures(outcomes, shipped(outcomes, manifest), snrs_db),
        "other kinds": figures(outcomes, judge(outcomes, budget, worst=WORST * budget), snrs_db),
        "operating point": {
            "budget": point.budget,
            "raised": point.raised,
            "thresholds": thresholds_at(outcomes, point),
            **figures(outcomes, point.judged, snrs_db),
        },
        "all kinds": figures(outcomes, pooled(outcomes, thresholds_for(outcomes, budget)), snrs_db),
    }


def summary_table(rows: Mapping[str, Mapping[str, Any]], snrs_db: Sequence[int]) -> list[str]:
    """Return a table with a row for each set of figures."""
    found = " | ".join(f"found, {snr_db} dB" for snr_db in snrs_db)
    lines = [
        f"| | {found} | false alarms an hour | worst kind, an hour | under {POOR:.0%} | delay, impulsive |",
        "|---" * (5 + len(snrs_db)) + "|",
    ]
    for name, row in rows.items():
        shares = " | ".join(f"{row['found'][str(snr_db)]:.1%}" for snr_db in snrs_db)
        worst, poor, delay = row["worst_kind"], row["poor_labels"], row["impulsive_delay_s"]
        lines.append(
            f"| {name} | {shares} | {row['false_an_hour']:.2f} | {worst['kind']}: {worst['an_hour']:.1f} | "
            f"{len(poor)}{': ' if poor else ''}{', '.join(poor)} | {'-' if delay is None else f'{delay:.1f} s'} |"
        )
    return lines


def kind_table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a table of false alarms by kind of background, a pair of columns for each set of figures."""
    first = next(iter(rows.values()))
    lines = ["| background | hours |" + "".join(f" {name}: an hour | of them |" for name in rows)]
    lines.append("|---" * (2 + 2 * len(rows)) + "|")
    for kind, about in first["kinds"].items():
        cells = "".join(
            f" {row['kinds'][kind]['an_hour']:.1f} | "
            f"{', '.join(f'{count} {label}' for label, count in row['kinds'][kind]['false'].items()) or 'none'} |"
            for row in rows.values()
        )
        lines.append(f"| {kind} | {about['hours']:.2f} |{cells}")
    return lines


def recall_table(row: Mapping[str, Any], chosen: Mapping[str, float], snrs_db: Sequence[int]) -> list[str]:
    """Return a table of the labels: found at each SNR, delay, and the threshold that all kinds together give."""
    found = " | ".join(f"found, {snr_db} dB" for snr_db in snrs_db)
    lines = [f"| label | scenes | {found} | delay, median | on |", "|---" * (4 + len(snrs_db)) + "|"]
    middle = str(sorted(snrs_db)[len(snrs_db) // 2])
    for label, about in row["labels"].items():
        shares = " | ".join(f"{about[str(snr_db)]['found']:.0%}" for snr_db in snrs_db)
        delay_s, scenes = about[middle]["delay_s"], sum(each["scenes"] for each in about.values())
        delay = "-" if delay_s is None else f"{delay_s:.1f} s"
        lines.append(f"| {label} | {scenes} | {shares} | {delay} | {chosen[label]:g} |")
    return lines


def unproven_table(outcomes: Outcomes) -> list[str]:
    """Return how often labels of which there are no scenes are reported, an hour, at several thresholds; [] if none.

    Nothing says how often they are found, so that no threshold can be chosen for them: a person has to.
    """
    labels = [label for label in outcomes.labels if label not in outcomes.tried]
    if not labels:
        return []
    cells = " | ".join(f"at {on:g} | worst kind" for on in UNPROVEN)
    lines = [f"| label | {cells} |", "|---" * (1 + 2 * len(UNPROVEN)) + "|"]
    for label in labels:
        shown = []
        for on in UNPROVEN:
            false = outcomes.false[GRID.index(on)][:, outcomes.labels.index(label)]
            by_kind = {
                str(name): float(false[of_kind].sum() / outcomes.heard_s[of_kind].sum() * 3600)
                for name in np.unique(outcomes.background)
                for of_kind in [outcomes.background == name]
            }
            worst = max(by_kind, key=lambda name: by_kind[name])
            in_all = false.sum() / outcomes.heard_s.sum() * 3600
            shown.append(f"{in_all:.2f} | {f'{worst}: {by_kind[worst]:.1f}' if by_kind[worst] else '-'}")
        lines.append(f"| {label} | {' | '.join(shown)} |")
    return lines


def _found(judged: Judged, outcomes: Outcomes, label: str, snr_db: int) -> dict[str, Any]:
    delays_s = judged.delay_s[outcomes.scenes(label, snr_db)]
    share = float(np.mean(~np.isnan(delays_s))) if delays_s.size else 0.0
    return {"scenes": len(delays_s), "found": round(share, 4), "delay_s": _median(delays_s)}


def _false(outcomes: Outcomes, judged: Judged, kind: str) -> dict[str, Any]:
    of_kind = outcomes.background == kind
    hours = float(outcomes.heard_s[of_kind].sum() / 3600)
    counts = judged.false[of_kind].sum(axis=0)
    named = {outcomes.labels[i]: int(counts[i]) for i in np.argsort(-counts, kind="stable") if counts[i]}
    return {"hours": round(hours, 3), "an_hour": round(float(counts.sum()) / hours, 2), "false": named}


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4) if values else 0.0


def _median(delays_s: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    found_s = delays_s[~np.isnan(delays_s)]
    return round(float(np.median(found_s)), 2) if found_s.size else None
