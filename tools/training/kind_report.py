"""The report of an evaluation by kinds of background: numbers as JSON, tables of Markdown, curves for a picture.

Owns: the figures that a model is compared by. Does not know: sound, models, files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise.manifest import Manifest
from tools.training.event_trials import GRID, Judged, Outcomes, at, at_thresholds, calibrate, judge

PRICES = np.geomspace(300.0, 0.003, 41)  # of an expected false alarm an hour, in shares of a label's scenes
RAISES = (4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0, 0.75, 0.5, 0.25)  # of the thresholds at the highest price, in logits
EVEN = 0.5  # logits: how far a kind that nobody has heard may differ, of a label that all others are alike for
BEYOND = 0.3  # logits: how far over the highest threshold scores above it are taken to be, or under the lowest
WORST = 3.0  # times the budget: what one kind of background may have of it
IMPULSIVE = ("dog_bark", "person_sneeze", "glass_break")  # whose delay is a figure of its own
UNPROVEN = (0.3, 0.5, 0.7, 0.9)  # thresholds that a label without scenes is shown at
LEAST = 0.3  # the lowest threshold of such a label
QUIET_AN_HOUR = 0.1  # false alarms of such a label
EQUAL = 1e-6  # shares of scenes: so little is no reason for a threshold
ROUNDING = 1e-9
POOR = 0.5  # a label that is found less often is named


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """What a model does at one price, every kind at thresholds that the other kinds gave."""

    price: float
    raised: float  # of all thresholds over what the price gives, in logits
    judged: Judged


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What each threshold of GRID finds, and the false alarms an hour over a kind that nobody has heard."""

    labels: tuple[str, ...]
    shares: NDArray[np.float64]  # (n_grid, n_labels), of a label's scenes
    rates: NDArray[np.float64]  # (n_grid, n_labels)

    def thresholds(self, price: float) -> dict[str, float]:
        """Return, by label, the threshold whose share less price times rate is highest; of equals the lowest.

        Where scenes are few, many thresholds find the same of them: the rates say how far up to keep from false alarms,
        and nothing speaks for more.
        """
        worth = self.shares - price * self.rates
        best = (worth >= worth.max(axis=0) - EQUAL).argmax(axis=0)
        return {label: GRID[level] for label, level in zip(self.labels, best, strict=True)}


def operating_point(outcomes: Outcomes, an_hour: float) -> Point:
    """Return the most lenient thresholds that leave `an_hour` false alarms on kinds that they were not chosen on.

    A false alarm that is to be expected (`expected`) has one price for all labels, by which each label's threshold is
    found by itself. Where even the highest price leaves too many, all thresholds are raised; where that does not help
    either, the strictest are returned.
    """
    hours = outcomes.heard_s[outcomes.budgeted].sum() / 3600
    known = {fold: expected(outcomes, fold) for fold in outcomes.folds}
    tried = [(float(PRICES[0]), by) for by in RAISES] + [(float(price), 0.0) for price in PRICES]
    points = [
        Point(price, by, at(outcomes, {fold: raised(each.thresholds(price), by) for fold, each in known.items()}))
        for price, by in tried
    ]
    kept = [point for point in points if point.judged.false[outcomes.budgeted].sum() / hours <= an_hour]
    return kept[-1] if kept else points[0]


def thresholds_at(outcomes: Outcomes, point: Point) -> dict[str, float]:
    """Return the thresholds that all kinds together give by the rule of an operating point."""
    return raised(expected(outcomes).thresholds(point.price), point.raised)


def raised(thresholds: Mapping[str, float], by: float) -> dict[str, float]:
    """Return thresholds that are raised by so many logits, to the next of GRID."""
    return {
        label: next((g for g in GRID if _logit(g) >= _logit(on) + by - ROUNDING), GRID[-1])
        for label, on in thresholds.items()
    }


def expected(outcomes: Outcomes, without_fold: int | None = None) -> Expected:
    """Return what is to be expected over a kind of background that is none of these, without trials of `without_fold`.

    A new kind is taken to be one of those that are known, at random, whose scores are all shifted: by a normal
    deviation with the label's `spread`. So a label that does with one threshold over all kinds keeps it, and one that
    a single kind forces up is given more room. What a kind is known by are its false alarms; where it has none, one
    just under the lowest threshold.
    """
    used = outcomes.fold != without_fold
    labels = tuple(label for label in outcomes.tried if (used & outcomes.scenes(label)).any())
    columns = [outcomes.labels.index(label) for label in labels]
    found = ~np.isnan(outcomes.delay_s)
    shares = np.stack([found[:, used & outcomes.scenes(label)].mean(axis=1) for label in labels], axis=1)
    counted = used & outcomes.budgeted
    rates = [
        _at_least(outcomes.false[:, kind][:, :, columns].sum(axis=1)) * 3600 / outcomes.heard_s[kind].sum()
        for kind in _kinds(outcomes, counted)
    ]
    logits = np.array([_logit(on) for on in GRID])
    between = np.concatenate([[logits[0] - BEYOND], (logits[:-1] + logits[1:]) / 2, [logits[-1] + BEYOND]])
    mean = np.mean(rates, axis=0)  # (1 + n_grid, n_labels)
    scores = mean - np.concatenate([mean[1:], np.zeros((1, len(labels)))])  # false alarms an hour by their score
    spreads = spread(outcomes, without_fold)
    deviations = np.array([max(EVEN, spreads[label]) for label in labels])
    distances = (logits[:, None, None] - between[None, :, None]) / deviations  # (n_grid, 1 + n_grid, n_labels)
    tails = np.vectorize(math.erfc)(distances / math.sqrt(2)) / 2
    return Expected(labels, shares, (tails * scores).sum(axis=1))


def _at_least(false: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the most false alarms from each threshold on, with one more row before: all, or one where there is none.

    false: (n_grid, n_labels); a higher threshold can split an event, and have more.
    """
    most = np.maximum.accumulate(false[::-1], axis=0)[::-1]
    return np.concatenate([np.maximum(most[:1], 1), most])


def _kinds(outcomes: Outcomes, counted: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return, by kind of background, which of the counted trials are of it."""
    background = outcomes.background
    return [counted & (background == kind) for kind in np.unique(background[counted])]


def spread(outcomes: Outcomes, without_fold: int | None = None) -> dict[str, float]:
    """Return, by label, the standard deviation over kinds of background of the threshold that each needs, in logits.

    A kind needs the lowest threshold of GRID from which on it has no false alarm of the label. Trials of `without_fold`
    are not used.
    """
    kinds = _kinds(outcomes, outcomes.budgeted & (outcomes.fold != without_fold))
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
    of_all = thresholds_for(outcomes, budget) | unproven_thresholds(outcomes)
    return {
        "manifest": figures(outcomes, shipped(outcomes, manifest), snrs_db),
        "other kinds": figures(outcomes, judge(outcomes, budget, worst=WORST * budget), snrs_db),
        "operating point": {
            "price": round(point.price, 4),
            "raised": point.raised,
            "thresholds": thresholds_at(outcomes, point),
            **figures(outcomes, point.judged, snrs_db),
        },
        "all kinds": {"thresholds": of_all, **figures(outcomes, pooled(outcomes, of_all), snrs_db)},
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


def unproven_thresholds(outcomes: Outcomes) -> dict[str, float]:
    """Return thresholds of the labels without scenes: the lowest of GRID from LEAST on that is quiet over all kinds.

    Nothing says how often they are found: a label is let through as far as it does no harm. Quiet is at most
    QUIET_AN_HOUR false alarms an hour in all, or else the highest of GRID.
    """
    hours = outcomes.heard_s.sum() / 3600
    chosen = {}
    for label in (label for label in outcomes.labels if label not in outcomes.tried):
        an_hour = outcomes.false[:, :, outcomes.labels.index(label)].sum(axis=1) / hours
        quiet = [on for on, rate in zip(GRID, an_hour, strict=True) if on >= LEAST and rate <= QUIET_AN_HOUR]
        chosen[label] = quiet[0] if quiet else GRID[-1]
    return chosen


def unproven_table(outcomes: Outcomes) -> list[str]:
    """Return how often labels of which there are no scenes are reported, an hour, at several thresholds; [] if none.

    Nothing says how often they are found, so that a person may choose otherwise than `unproven_thresholds`.
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
