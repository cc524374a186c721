"""What the proofs measured, as tables, and the document that holds them.

Owns: the way from rows to Markdown, and the marked part of docs/reliability.md that each proof writes.
Does not know: what was measured, or how.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
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


def lines_of(rows: Sequence[Any]) -> list[str]:
    """A table with a line for each, of a single one too."""
    return table([*rows, *rows])[: 2 + len(rows)]


def put_row(document: str, name: str, told: str, row: Any, order: Iterable[str]) -> str:
    """The document with that machine's row in its part `name`; without one where not all was right.

    Rows have `machine` and `right`; those of the other machines, which are in `order`, stay. Raises NoPlaceError.
    """
    head, rule, line = lines_of([row])
    found = document.partition(f"<!-- measured: {name} -->")[2].partition(_END)[0].splitlines()
    machines = list(order)
    known = {machine: each for each in found for machine in machines if each.startswith(f"| {machine} |")}
    known.pop(row.machine, None)
    if row.right:
        known[row.machine] = line
    return rewrite(document, name, [told, "", head, rule, *(known[each] for each in machines if each in known)])


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
