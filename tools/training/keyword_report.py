"""The report of keyword models: what each fold's model reported in strings of words, and in sound without any.

Owns: tables of Markdown and pictures. Does not know: how it was judged (`keyword_trials.py`), files of models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tools.training.keyword_trials import GRID, Tally

MISSED = "(missed)"
NOTHING = "(no word)"


def report_keywords(
    results: Mapping[int, Mapping[str, Any]],
    judged: Mapping[int, Mapping[str, Sequence[Tally]]],
    chosen: Mapping[int, float],
    keywords: Sequence[str],
    folder: Path,
) -> None:
    """Print and write the tables, and draw the confusion matrix, the recall and the curves.

    results: of each fold, `speakers`, `bytes` and `history`.
    judged: of each fold, tallies by kind, one for each threshold of GRID. chosen: each fold's threshold.
    """
    from tools.training.pictures import draw_confusion, draw_curves, draw_recall  # noqa: PLC0415 - Matplotlib

    at = {
        fold: {kind: tallies[GRID.index(chosen[fold])] for kind, tallies in kinds.items()}
        for fold, kinds in judged.items()
    }
    kinds = list(dict.fromkeys(kind for fold in at.values() for kind in fold))
    pooled = {kind: Tally.sum([fold[kind] for fold in at.values() if kind in fold]) for kind in kinds}
    strings = {kind: tally for kind, tally in pooled.items() if tally.spoken}
    others = {kind: tally for kind, tally in pooled.items() if not tally.spoken}
    lines = [
        *_fold_table(results, at, chosen, list(strings)), "", *_condition_table(strings), "",
        *_keyword_table(strings, keywords), "", *_negative_table(others, keywords), "",
        *_budget_table(judged, list(strings)),
    ]  # fmt: skip
    text = "\n".join(lines)
    (folder / "report.md").write_text(text + "\n")
    together = Tally.sum(list(strings.values()))
    nothing = np.append(together.inserted + sum(tally.inserted for tally in others.values()), 0)
    matrix = np.vstack([together.answers, nothing])
    draw_confusion(matrix, [*keywords, NOTHING], folder / "confusion.png", answers=[*keywords, MISSED])
    draw_recall({kind: _recalls(tally) for kind, tally in strings.items()}, keywords, folder / "recall.png")
    draw_curves(
        {f"fold {fold}": [loss for loss, _ in result["history"]] for fold, result in results.items()},
        folder / "curves.png",
    )
    print(text)


def _fold_table(
    results: Mapping[int, Mapping[str, Any]],
    at: Mapping[int, Mapping[str, Tally]],
    chosen: Mapping[int, float],
    kinds: Sequence[str],
) -> list[str]:
    lines = [f"| fold | speakers | on | {' | '.join(kinds)} | int8 | training |", "|---" * (5 + len(kinds)) + "|"]
    for fold, result in results.items():
        shares = " | ".join(_share(at[fold][kind].right, at[fold][kind].spoken) for kind in kinds)
        minutes = sum(duration_s for _, duration_s in result["history"]) / 60
        size = f"{result['bytes'] / 1000:.1f} KB"
        lines.append(f"| {fold} | {result['speakers']} | {chosen[fold]:g} | {shares} | {size} | {minutes:.1f} min |")
    return lines


def _condition_table(strings: Mapping[str, Tally]) -> list[str]:
    heading = (
        "| strings of words | words | right | taken for another | missed | without a word, an hour "
        "| delay, median | delay, 95 % | beginning off by, median | 95 % |"
    )
    lines = [heading, "|---" * 10 + "|"]
    for kind, tally in strings.items():
        delays, errors = _quantiles(tally.delays_s), _quantiles([abs(error) for error in tally.errors_s])
        lines.append(
            f"| {kind} | {tally.spoken} | {_share(tally.right, tally.spoken)} | {_share(tally.confused, tally.spoken)} "
            f"| {_share(tally.missed, tally.spoken)} | {tally.inserted_per_hour:.1f} | {delays} | {errors} |"
        )
    return lines


def _keyword_table(strings: Mapping[str, Tally], keywords: Sequence[str]) -> list[str]:
    lines = [f"| word | {' | '.join(strings)} | taken most for |", "|---" * (2 + len(strings)) + "|"]
    together = Tally.sum(list(strings.values()))
    for row, keyword in enumerate(keywords):
        shares = " | ".join(_share(tally.answers[row, row], tally.answers[row].sum()) for tally in strings.values())
        wrong = together.answers[row, :-1].copy()
        wrong[row] = 0
        most = int(wrong.argmax())
        lines.append(f"| {keyword} | {shares} | {f'{keywords[most]} ({wrong[most]})' if wrong[most] else 'none'} |")
    return lines


def _negative_table(others: Mapping[str, Tally], keywords: Sequence[str]) -> list[str]:
    lines = ["| sound without a keyword | hours | false accepts | an hour |", "|---|---|---|---|"]
    for kind, tally in {**others, "**all of these**": Tally.sum(list(others.values()))}.items() if others else ():
        counts = tally.inserted
        named = [f"{counts[i]} {keywords[i]}" for i in np.argsort(-counts, kind="stable") if counts[i]]
        lines.append(
            f"| {kind} | {tally.heard_s / 3600:.2f} | {', '.join(named) or 'none'} | {tally.inserted_per_hour:.1f} |"
        )
    return lines


def _budget_table(judged: Mapping[int, Mapping[str, Sequence[Tally]]], kinds: Sequence[str]) -> list[str]:
    """Return recall and false accepts at each threshold, the same in all folds."""
    lines = [f"| on | {' | '.join(kinds)} | false accepts an hour |", "|---" * (2 + len(kinds)) + "|"]
    for level, on in enumerate(GRID):
        by_kind = [Tally.sum([fold[kind][level] for fold in judged.values() if kind in fold]) for kind in kinds]
        other = [tallies[level] for fold in judged.values() for kind, tallies in fold.items() if kind not in kinds]
        rate = f"{Tally.sum(other).inserted_per_hour:.1f}" if other else "-"
        lines.append(f"| {on:g} | {' | '.join(_share(tally.right, tally.spoken) for tally in by_kind)} | {rate} |")
    return lines


def _recalls(tally: Tally) -> list[float]:
    return [float(row[index] / max(1, row.sum())) for index, row in enumerate(tally.answers)]


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else "-"


def _quantiles(values_s: Sequence[float]) -> str:
    return " | ".join(f"{np.quantile(values_s, q):.2f} s" if values_s else "-" for q in (0.5, 0.95))
