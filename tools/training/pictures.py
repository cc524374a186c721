"""Pictures of a training: the confusion matrix, and the curves of the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw_confusion(
    matrix: NDArray[np.int64], labels: Sequence[str], file: Path, *, answers: Sequence[str] | None = None
) -> None:
    """Draw counts (truth, answer), each square coloured by its share of the truth's recordings.

    answers: names of the columns, where they are not those of the rows.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = 2.5 + 0.45 * len(labels)
    figure, axes = plt.subplots(figsize=(size, size), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    columns = labels if answers is None else answers
    axes.set_xticks(range(len(columns)), columns, rotation=60, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    for row, column in np.argwhere(matrix):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, matrix[row, column], ha="center", va="center", color=colour)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def draw_recall(recalls: Mapping[str, Sequence[float]], keywords: Sequence[str], file: Path) -> None:
    """Draw the share of each keyword that was found, a bar for each condition."""
    figure, axes = plt.subplots(figsize=(2.5 + 0.7 * len(keywords), 4), layout="constrained")
    width = 0.8 / len(recalls)
    for number, (name, values) in enumerate(recalls.items()):
        at = np.arange(len(keywords)) + (number - (len(recalls) - 1) / 2) * width
        axes.bar(at, values, width, label=name)
    axes.set_xticks(range(len(keywords)), keywords)
    axes.set_xlabel("word")
    axes.set_ylabel("reported rightly")
    axes.set_ylim(0, 1)
    axes.legend(ncols=len(recalls), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def draw_curves(losses: Mapping[str, Sequence[float]], file: Path) -> None:
    """Draw the loss of every epoch, a line for each training."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, values in losses.items():
        axes.plot(range(1, len(values) + 1), values, label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.set_yscale("log")
    axes.legend()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def draw_recall_by_false_alarms(
    models: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], file: Path, *, snr_db: int
) -> None:
    """Draw recall against false alarms an hour: a panel for each label, a line for each model, a point a threshold."""
    labels = list(dict.fromkeys(label for curves in models.values() for label in curves))
    columns = min(4, len(labels))
    rows = -(-len(labels) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(3 * columns, 2.3 * rows + 0.6), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes in panels.ravel()[len(labels) :]:
        axes.set_visible(False)
    for axes, label in zip(panels.ravel(), labels, strict=False):
        for name, curves in models.items():
            points = sorted(curves.get(label, ()))
            axes.plot([x for x, _ in points], [y for _, y in points], marker=".", markersize=4, label=name)
        axes.set_title(label, fontsize="medium")
        axes.set_xscale("symlog", linthresh=0.1)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 1.03)
        axes.grid(alpha=0.3)
    figure.supxlabel("false alarms an hour")
    figure.supylabel(f"found at {snr_db} dB")
    handles, names = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, names, ncols=len(names), loc="outside upper center", frameon=False)
    figure.savefig(file, dpi=110)
    plt.close(figure)
