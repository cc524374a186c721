"""The report of a training: accuracy of each fold and their mean, confusion matrix and curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def report_folds(results: dict[int, dict[str, Any]], labels: Sequence[str], folder: Path) -> None:
    """Print and write the table of folds, and draw the confusion matrix and the curves."""
    from tools.training.pictures import draw_confusion, draw_curves  # noqa: PLC0415 - Matplotlib

    rates = list(next(iter(results.values()))["narrow"])
    heard = [f"int8 through {int(rate) / 1000:g} kHz" for rate in rates]
    lines = [f"| fold | recordings | {' | '.join(['float32', 'int8', *heard, 'training'])} |"]
    lines.append("|---" * (5 + len(rates)) + "|")
    shares: dict[str, list[float]] = {"float32": [], "int8": [], **{rate: [] for rate in rates}}
    matrix = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for fold, result in results.items():
        truth = np.array(result["truth"])
        for kind, values in shares.items():
            narrow = result["narrow"].get(kind)
            values.append(float(np.mean(np.array(result[kind]) == truth)) if narrow is None else narrow)
        np.add.at(matrix, (truth, np.array(result["int8"])), 1)
        minutes = sum(duration_s for _, duration_s in result["history"]) / 60
        shown = [f"{values[-1]:.2%}" for values in shares.values()]
        lines.append(f"| {fold} | {len(truth)} | {' | '.join(shown)} | {minutes:.1f} min |")
    means = [f"{np.mean(values):.2%} +- {np.std(values):.2%}" for values in shares.values()]
    lines.append(f"| mean | {matrix.sum()} | {' | '.join(means)} | |")
    text = "\n".join(lines)
    (folder / "report.md").write_text(text + "\n")
    draw_confusion(matrix, labels, folder / "confusion.png")
    draw_curves(
        {f"fold {fold}": [loss for loss, _ in result["history"]] for fold, result in results.items()},
        folder / "curves.png",
    )
    print(text)
