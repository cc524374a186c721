"""The labels of somebody else's model: from a file of the user's, or packed into the `.tflite`.

Owns: the formats that labels come in. Does not know: tensors, manifests.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeaudio.recognise.types import EdgeaudioError
from edgeaudio.settings.layers import read_file_or_pipe

COLUMNS = ("display_name", "label", "name")  # of a CSV file, in order of preference
MAX_BYTES = 2_000_000


def find_labels(model: Path, packed: Mapping[str, str], file: Path | None, wanted: Sequence[int]) -> list[str]:
    """Labels in the order of the model's scores.

    packed: the text files in the model, by name. file: the user's own, which comes first.
    wanted: how many the model's outputs may have. Raises EdgeaudioError, in one line.
    """
    if file:
        return read_labels(file)
    lists = {name: parse_labels(name, text) for name, text in packed.items()}
    fitting = [name for name in lists if len(lists[name]) in wanted]
    if not fitting:
        counts = " or ".join(str(n) for n in sorted({n for n in wanted if n > 0})) or "them"
        found = "".join(f", but {name} with {len(labels)} lines" for name, labels in lists.items())
        raise EdgeaudioError(
            f"{model}: has no labels packed in it{found}; give {counts} with --labels FILE, one a line"
        )
    return lists[min(fitting, key=lambda name: ("label" not in name.lower(), name))]


def read_labels(file: Path) -> list[str]:
    """The labels in a file of the user's. Raises EdgeaudioError."""
    try:
        text = read_file_or_pipe(file, MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise EdgeaudioError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise EdgeaudioError(f"{file}: is not text in UTF-8: {error.reason} at byte {error.start}") from None
    labels = parse_labels(file.name, text)
    if not labels:
        raise EdgeaudioError(f"{file}: holds no labels; write one a line")
    return labels


def parse_labels(name: str, text: str) -> list[str]:
    """One label a line; or, where `name` ends in .csv, the column `display_name`, `label` or `name`, else the last."""
    if not name.endswith(".csv"):
        return [line.strip() for line in text.splitlines() if line.strip()]
    rows = [row for row in csv.reader(text.splitlines()) if row]
    if not rows:
        return []
    column = next((rows[0].index(key) for key in COLUMNS if key in rows[0]), None)
    if column is None:
        return [row[-1].strip() for row in rows]
    return [row[column].strip() for row in rows[1:] if len(row) > column]
