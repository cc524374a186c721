"""What the proofs measured, as tables, and the document that holds them.

Owns: the way from rows to Markdown, and the marked part of docs/reliability.md that each proof writes.
Does not know: what was measured, or how.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

_UNITS = {"_per_s": "(a second)", "_s": "(s)", "_ms": "(ms)", "_kb": "(KB)", "_mb": "(MB)"}
_END = "<!-- /measured -->"


class NoPlaceError(ValueError):
    """The document has no marked part of that name."""


def table(rows: Sequence[Any]) -> list[str]:
    """Dataclasses of one kind as a Markdown table: a column for each field, or, of a single one, a line for each."""
    values = [_flat(row) for row in rows]
    if len(values) == 1:
        return ["| | |", "|---|---|", *(f"| {_heading(name)} | {_cell(value)} |" for name, value in values[0].items())]
    return [
        f"| {' | '.join(map(_heading, values[0]))} |",
        f"|{'---|' * len(values[0])}",
        *(f"| {' | '.join(map(_cell, row.values()))} |" for row in values),
    ]


def rewrite(document: str, name: str, lines: Sequence[str]) -> str:
    """The document with those lines in its part `name`. Raises NoPlaceError."""
    begin = f"<!-- measured: {name} -->"
    found = re.search(f"{re.escape(begin)}\n.*?{re.escape(_END)}", document, re.DOTALL)
    if found is None:
        raise NoPlaceError(f"there is no {begin} ... {_END}")
    return "\n".join([document[: found.start()] + begin, "", *lines, "", _END + document[found.end() :]])


def _flat(row: Any) -> dict[str, Any]:
    """Fields and their values; those of a dataclass within stand beside the others."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(row):
        value = getattr(row, field.name)
        if dataclasses.is_dataclass(value):
            values |= {f"{field.name}_{name}": inner for name, inner in _flat(value).items()}
        else:
            values[field.name] = value
    return values


def _heading(name: str) -> str:
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} {unit}"
    return name.replace("_", " ")


def _cell(value: Any) -> str:
    match value:
        case None:
            text = ""
        case str():
            text = value
        case float():
            text = f"{value:.1f}"
        case int():
            text = f"{value:,}"
        case Mapping():
            text = ", ".join(f"{key} {_cell(item)}" for key, item in value.items()) or "none"
        case _:
            text = ", ".join(map(_cell, value)) or "none"
    return text.replace("|", "\\|").replace("\n", " ")
