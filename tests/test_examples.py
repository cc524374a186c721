"""The notebooks of examples/ run from the first cell to the last, and are committed without what they print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def cells_of(name: str) -> list[dict[str, Any]]:
    notebook = json.loads((EXAMPLES / name).read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells: list[dict[str, Any]] = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    return cells


def run(name: str) -> dict[str, Any]:
    """What the notebook's names stand for at its end; runs it as a kernel does, in one namespace."""
    names: dict[str, Any] = {}
    for cell in cells_of(name):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{name}: {cell['id']}", "exec"), names)  # noqa: S102 (our own)
    return names


def test_every_notebook_is_run_here():
    assert [path.name for path in EXAMPLES.iterdir() if path.suffix == ".ipynb"] == ["listen.ipynb"]


def test_notebooks_hold_no_output():
    for cell in cells_of("listen.ipynb"):
        assert not cell.get("outputs"), cell["id"]
        assert cell.get("execution_count") is None


@pytest.mark.integration  # it takes seconds
def test_listen(capsys: pytest.CaptureFixture[str]):
    before = set(sys.modules)
    names = run("listen.ipynb")
    assert {name.partition(".")[0] for name in set(sys.modules) - before}.isdisjoint({"matplotlib", "pandas", "scipy"})
    assert [(event.kind, event.label) for event in names["events"]] == [
        ("onset", "smoke_alarm"),
        ("offset", "smoke_alarm"),
    ]
    printed = capsys.readouterr().out
    assert "12:00:0" in printed
    assert "smoke_alarm" in printed
    picture = ET.fromstring(names["plot"]._repr_svg_())  # noqa: S314 (made by the notebook)
    texts = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "smoke_alarm"
