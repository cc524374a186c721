"""The proof of archives can fail: by rows that differ, a recording that is missing, named or finished twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chaos.archive import KILLS, WORKERS, _rows, _way
from chaos.noted import notes_of

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
    assert tuple(fault for fault in way.faults if "finished twice" not in fault) == faults


def test_a_result_that_is_written_twice_is_a_fault(tmp_path: Path, sounds: Path) -> None:
    def twice(folder: Path, out: Path, log: Path) -> None:
        right(folder, out, log)
        time.sleep(0.2)  # the watcher looks each 20 ms
        write(out, "c")

    way = _way(tmp_path, sounds, "way", twice)
    assert way.finished_twice == 1
    assert way.faults == ("way: 1 recordings were finished twice",)


@pytest.mark.parametrize(
    ("notes", "faults"),
    [
        (("begun a", "begun b", "done b", "done a"), ()),
        (("begun a", "done a", "again a"), ("finished", "begun")),
        (("begun a", "begun a", "done a", "done a"), ("finished", "begun")),
        (("begun a", "begun a", "done a"), ("begun",)),
    ],
)
def test_a_recording_that_is_heard_again_is_a_fault(
    tmp_path: Path, sounds: Path, notes: tuple[str, ...], faults: tuple[str, ...]
) -> None:
    def run(folder: Path, out: Path, log: Path) -> None:
        right(folder, out, log)
        notes_of(out).write_text("\n".join(notes))

    way = _way(tmp_path, sounds, "way", run)
    assert [fault.split()[4] for fault in way.faults] == list(faults)


def test_what_a_killed_worker_was_at_may_be_begun_twice_and_no_more(tmp_path: Path, sounds: Path) -> None:
    def run(folder: Path, out: Path, log: Path) -> None:
        right(folder, out, log)
        keys = range(KILLS + WORKERS + (out.name == "kills"))
        notes_of(out).write_text("".join(f"begun {key}\n" * 2 + f"done {key}\n" for key in keys))

    assert _way(tmp_path, sounds, "kills-fewer", run).faults == ()
    (fault,) = _way(tmp_path, sounds, "kills", run).faults
    assert fault == f"kills: {KILLS + WORKERS + 1} recordings were begun twice, and {KILLS + WORKERS} were cut off"
