"""Lines of tables: what of a text may stand in a cell."""

from __future__ import annotations

import csv

from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.label_tables import audacity_line, csv_line, tabbed


def test_numbers_stay_numbers_and_formulas_become_text() -> None:
    assert csv_line([-1.5, None, "-1.5", "12", "-2+3", "=1", "@a", "+49"]) == "-1.5,,-1.5,12,'-2+3,'=1,'@a,'+49\r\n"


@given(st.lists(st.text(), min_size=2, max_size=5))
def test_any_texts_are_one_line_of_as_many_cells(cells) -> None:
    assert len(tabbed(*cells).removesuffix("\n").split("\t")) == len(cells)
    assert "\n" not in tabbed(*cells)[:-1]
    (row,) = csv.reader(csv_line(cells).splitlines())
    assert len(row) == len(cells)
    assert not any(cell.startswith(("=", "+", "@")) for cell in row)


def test_a_label_track_has_microseconds() -> None:
    assert audacity_line(1.5, 2.25, 'a\t"b"') == "1.500000\t2.250000\ta\\t'b'\n"
