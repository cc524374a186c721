"""The proof of archives can fail: by rows that differ, a recording that is missing, named or heard twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chaos.archive import _rows, _way

NAMES = ("a", "b", "c")


def write(out: Path, key: str, score: float = 0.5) -> None:
    part = out / "model-1" / "parts" / "2026-01" / f"{key}.parquet"
    part.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"key": [key], "score": [score]}), part.with_suffix(".new"))
    part.with_suffix(".new").rename(part)


def right(sounds: Path, out: Path, log: Path) -> None:
    for name in NAMES:
        write(out, name)
    log.write_text("done:     3 recordings\n")


def other_rows(sounds: Path, out: Path, log: Path) -> None:
    right(sounds, out, log)
    write(out, "b", 0.25)


def missing(sounds: Path, out: Path, log: Path) -> None:
    right(sounds, out, log)
    (out / "model-1" / "parts" / "2026-01" / "b.parquet").unlink()


def named(sounds: Path, out: Path, log: Path) -> None:
    right(sounds, out, log)
    log.write_text("left out: 1 recordings\n  b.wav: the file is empty\n")


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.wav").touch()
    return folder


@pytest.mark.parametrize(
    ("run", "faults"),
    [
        (right, ()),
        (other_rows, ("way: other rows than of one process",)),
        (missing, ("way: 2 of 3 recordings have results", "way: other rows than of one process")),
        (named, ("way: named ('b.wav',), and not ()",)),
    ],
)
def test_what_is_wrong_is_a_fault(
    tmp_path: Path, sounds: Path, run: Callable[[Path, Path, Path], None], faults: tuple[str, ...]
) -> None:
    right(sounds, tmp_path / "first", tmp_path / "log")
    way = _way(tmp_path, sounds, "way", run, _rows(tmp_path / "first"))
    # a result that is written again at once may be seen once or twice
    assert tuple(fault for fault in way.faults if "heard twice" not in fault) == faults


def test_a_recording_that_is_heard_twice_is_a_fault(tmp_path: Path, sounds: Path) -> None:
    def twice(folder: Path, out: Path, log: Path) -> None:
        right(folder, out, log)
        time.sleep(0.2)  # the watcher looks each 20 ms
        write(out, "c")

    way = _way(tmp_path, sounds, "way", twice)
    assert way.heard_twice == 1
    assert way.faults == ("way: 1 recordings were heard twice",)
