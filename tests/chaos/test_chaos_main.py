"""The command that runs the proofs: what it prints, writes down, and ends with."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos import __main__ as command
from chaos.__main__ import Proof, main


@dataclass(frozen=True)
class Row:
    name: str
    faults: tuple[str, ...] = ()


def fails(_folder: Path) -> Sequence[Row]:
    raise AssertionError("after 10 s: nothing comes")


PROOFS = {
    "holds": Proof("it does", (), lambda folder: [Row("full")], lambda folder: [Row("short")]),
    "breaks": Proof(
        "it does not", (), lambda folder: [Row("full", ("lost",))], lambda folder: [Row("short", ("lost",))]
    ),
    "fails": Proof("worse", (), fails, fails),
    "lacks": Proof("cannot", ("no-such-program",), fails, fails),
}
DOCUMENT = "a\n<!-- measured: holds -->\n<!-- /measured -->\n<!-- measured: breaks -->\n<!-- /measured -->\nz\n"


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "reliability.md"
    path.write_text(DOCUMENT)
    monkeypatch.setattr(command, "DOCS", tmp_path)
    monkeypatch.setattr(command, "PROOFS", PROOFS)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["faults", *arguments])
    return main()


def test_a_proof_that_holds_is_written_down(
    document: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "holds") == 0
    assert "| name | full |" in capsys.readouterr().out
    written = document.read_text()
    assert "`make faults FAULTS=holds`, 20" in written
    assert "| name | full |\n| faults | none |\n\n<!-- /measured -->\n<!-- measured: breaks -->" in written
    assert written.endswith("z\n")


def test_the_short_form_writes_nothing(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--short", "holds") == 0
    assert document.read_text() == DOCUMENT


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("breaks", "breaks: FAILED: lost"),
        ("fails", "fails: FAILED: after 10 s: nothing comes"),
        ("lacks", "lacks: not run, for these are not installed: no-such-program"),
    ],
)
def test_what_does_not_hold_is_said(
    name: str, said: str, document: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--short", "holds", name) == 1
    assert said in capsys.readouterr().err


def test_a_name_that_is_none(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "kils")


def test_the_readme_has_each_proof_and_what_it_needs() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", Path(__file__).with_name("README.md").read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == list(command.PROOFS)
    for name, needs in rows:
        assert tuple(filter(None, needs.partition(";")[0].strip().split(", "))) == command.PROOFS[name].needs
