"""Rows become tables, and tables find their place in the document."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from chaos.events import Books
from chaos.table import NoPlaceError, rewrite, table


@dataclass(frozen=True)
class Row:
    name: str
    took_s: float
    peak_per_s: int
    faults: tuple[str, ...] = ()


def test_rows_become_lines_and_names_headings():
    assert table([Row("a|b", 1.25, 12345), Row("c", 0.0, 1, ("x", "y"))]) == [
        "| name | took (s) | peak (a second) | faults |",
        "|---|---|---|---|",
        "| a\\|b | 1.2 | 12,345 | none |",
        "| c | 0.0 | 1 | x, y |",
    ]


def test_a_single_row_becomes_a_column_and_what_is_within_stands_beside():
    @dataclass(frozen=True)
    class Outer:
        done: dict[str, int]
        books: Books
        nothing: float | None

    assert table([Outer({"cut": 2, "mended": 1}, Books(3, 2, 1, ()), None)]) == [
        "| | |",
        "|---|---|",
        "| done | cut 2, mended 1 |",
        "| books committed | 3 |",
        "| books received | 2 |",
        "| books repeated | 1 |",
        "| books faults | none |",
        "| nothing |  |",
    ]


def test_a_part_of_the_document_is_replaced_and_nothing_else():
    document = "a\n<!-- measured: x -->\nold\n<!-- /measured -->\nb\n<!-- measured: y -->\n<!-- /measured -->\nc"
    once = rewrite(document, "y", ["new"])
    assert once == document.replace("y -->\n", "y -->\n\nnew\n\n")
    assert rewrite(once, "y", ["newer"]) == once.replace("new\n", "newer\n")
    with pytest.raises(NoPlaceError, match="there is no <!-- measured: z -->"):
        rewrite(document, "z", [])
