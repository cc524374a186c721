"""Tables of Markdown on how well a model finds events, and the thresholds in its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise.manifest_file import manifest_toml, read_manifest
from tools.training.event_trials import Judged, Outcomes, at, calibrate, judge, threshold

BUDGETS = (0.5, 1.0, 2.0, 4.0, 8.0)  # false alarms an hour, for the table of what each costs


def write_thresholds(file: Path, chosen: Mapping[str, float]) -> None:
    """Replace the thresholds of those labels in a manifest; the rest of it stays."""
    manifest = read_manifest(file)
    thresholds = {**manifest.thresholds, **{label: threshold(on) for label, on in chosen.items()}}
    file.write_text(manifest_toml(replace(manifest, thresholds=thresholds)))


def recall_table(outcomes: Outcomes, judged: Judged, snrs_db: Sequence[int]) -> list[str]:
    """Return how many scenes of each label were found at each SNR, and how late."""
    lines = ["| label | SNR | scenes | found | delay, median | delay, 95 % |", "|---|---|---|---|---|---|"]
    for label in outcomes.tried:
        for snr_db in snrs_db:
            delays_s = judged.delay_s[outcomes.scenes(label, snr_db)]
            lines.append(f"| {label} | {snr_db} dB | {len(delays_s)} | {_share(delays_s)} | {_delays(delays_s)} |")
    for snr_db in snrs_db:
        groups = [judged.delay_s[outcomes.scenes(label, snr_db)] for label in outcomes.tried]
        together = np.concatenate(groups)
        share = _mean_share(outcomes, judged, snr_db)
        lines.append(f"| **mean of the labels** | {snr_db} dB | {len(together)} | {share:.1%} | {_delays(together)} |")
    return lines


def negative_table(outcomes: Outcomes, judged: Judged) -> list[str]:
    """Return false alarms an hour, by kind of sound."""
    lines = ["| sound | hours | false alarms | an hour |", "|---|---|---|---|"]
    kinds = np.array([trial.kind for trial in outcomes.trials])
    negative = outcomes.negative
    lines += [_negative_row(str(kind), kinds == kind, outcomes, judged) for kind in np.unique(kinds[negative])]
    lines.append(_negative_row("the scenes of the table above", ~negative, outcomes, judged))
    left_out = sorted({trial.kind.split(",")[0] for trial in outcomes.trials if not trial.budgeted})
    name = f"**all of these but {', '.join(left_out)}**" if left_out else "**all of these**"
    lines.append(_negative_row(name, outcomes.budgeted, outcomes, judged))
    return lines


def _negative_row(name: str, chosen: NDArray[np.bool_], outcomes: Outcomes, judged: Judged) -> str:
    counts = judged.false[chosen].sum(axis=0)
    named = [f"{counts[i]} {outcomes.labels[i]}" for i in np.argsort(-counts, kind="stable") if counts[i]]
    hours = outcomes.heard_s[chosen].sum() / 3600
    return f"| {name} | {hours:.2f} | {', '.join(named) or 'none'} | {_rate(int(counts.sum()), hours)} |"


def threshold_table(outcomes: Outcomes, budget: float, snr_db: int) -> list[str]:
    """Return the thresholds of a budget, and their recall at one SNR on the sound that they were chosen on."""
    chosen = calibrate(outcomes, budget)
    pooled = at(outcomes, dict.fromkeys(outcomes.folds, chosen))
    hours = outcomes.heard_s[outcomes.budgeted].sum() / 3600
    lines = [f"| label | on | off | found, {snr_db} dB | false alarms an hour |", "|---|---|---|---|---|"]
    for label, on in chosen.items():
        false = int(pooled.false[outcomes.budgeted, outcomes.labels.index(label)].sum())
        found = _share(pooled.delay_s[outcomes.scenes(label, snr_db)])
        lines.append(f"| {label} | {on:g} | {threshold(on).off:g} | {found} | {_rate(false, hours)} |")
    return lines


def budget_table(outcomes: Outcomes, snrs_db: Sequence[int]) -> list[str]:
    """Return recall and false alarms for each of BUDGETS, every fold at thresholds from the other folds."""
    found = " | ".join(f"found, {snr_db} dB" for snr_db in snrs_db)
    lines = [f"| budget | {found} | false alarms an hour |", "|---|" + "---|" * len(snrs_db) + "---|"]
    hours = outcomes.heard_s[outcomes.budgeted].sum() / 3600
    for budget in BUDGETS:
        judged = judge(outcomes, budget)
        shares = " | ".join(f"{_mean_share(outcomes, judged, snr_db):.1%}" for snr_db in snrs_db)
        lines.append(f"| {budget:g} | {shares} | {_rate(int(judged.false[outcomes.budgeted].sum()), hours)} |")
    return lines


def _mean_share(outcomes: Outcomes, judged: Judged, snr_db: int) -> float:
    """Return the share of scenes found at an SNR, the mean over labels."""
    groups = [judged.delay_s[outcomes.scenes(label, snr_db)] for label in outcomes.tried]
    return float(np.mean([np.mean(~np.isnan(delays_s)) for delays_s in groups]))


def _share(delays_s: NDArray[np.float64]) -> str:
    return f"{np.mean(~np.isnan(delays_s)):.0%}"


def _delays(delays_s: NDArray[np.float64]) -> str:
    found_s = delays_s[~np.isnan(delays_s)]
    return " | ".join(f"{np.quantile(found_s, q):.1f} s" if found_s.size else "-" for q in (0.5, 0.95))


def _rate(count: int, hours: float) -> str:
    return f"{count / hours:.2f}" if hours else "-"
