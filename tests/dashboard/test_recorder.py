import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from dashboard.values import NOW_S, history_of, offset, onset

from edgeaudio.dashboard import database
from edgeaudio.dashboard import recorder as module
from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.dashboard.history import Filter, History
from edgeaudio.dashboard.recorder import MAX_RECENT, Recorder


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with history_of(tmp_path / "history.sqlite", keep_s=1e9) as history:
        history.database.open()
        yield history


@pytest.fixture
def locked(history: History, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """Another process's hold on the database; its `rollback` ends it."""
    monkeypatch.setattr(database, "_LOCK_WAIT_S", 0.05)
    history.database.close()
    with closing(sqlite3.connect(history.database.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


def stored(history: History) -> list[str]:
    return [event.id for event in history.page(Filter()).events]


def test_onsets_are_counted_once_and_tests_not(history: History) -> None:
    recorder = Recorder(history)
    recorder.record([onset(), offset(), onset("e2", test=True)], NOW_S, 0.0)
    recorder.record([onset(), onset("e3", label="cat")], NOW_S, 1.0)
    assert recorder.numbers().onsets == {("dock", "porch", "dog"): 1, ("dock", "porch", "cat"): 1}
    shown = [(recent.number, recent.detection.id, recent.detection.kind) for recent in recorder.recent()]
    assert shown == [(1, "e1", "onset"), (2, "e1", "offset"), (3, "e2", "onset"), (4, "e3", "onset")]
    assert [recent.number for recent in recorder.recent(after=3)] == [4]


def test_gaps_of_an_earlier_run_are_known(history: History) -> None:
    Recorder(history).record([onset(seq=5), onset("e2", seq=9)], NOW_S, 0.0)
    recorder = Recorder(history)
    recorder.record([], NOW_S, 0.0)
    assert recorder.numbers().sequences["dock"].missing == 3


def test_members_are_those_of_the_newest_detection_of_an_event_that_is_recent(history: History) -> None:
    shown = Recorder(history)
    began, ended = (("home", 0.8), ("yamnet", 0.6)), (("home", 0.95), ("yamnet", 0.9))
    shown.record([onset(members=began), onset("e2", seq=2), onset(source="hall", seq=3, members=ended)], NOW_S, 0.0)
    assert shown.members("dock", "porch", "e1") == began
    assert shown.members("dock", "porch", "e2") == shown.members("dock", "porch", "e3") == ()
    shown.record([offset(seq=4, members=ended)], NOW_S, 0.0)
    assert shown.members("dock", "porch", "e1") == ended
    shown.record([onset(f"n{number}", seq=5 + number) for number in range(MAX_RECENT)], NOW_S, 0.0)
    assert shown.members("dock", "porch", "e1") == ()


def test_while_the_database_is_locked_detections_are_shown_and_wait(
    history: History, locked: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(history)
    for n in range(3):
        recorder.record([onset(f"e{n}")], NOW_S, monotonic_s=float(n))
    assert recorder.numbers().waiting == 3
    assert len(recorder.recent()) == 3
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    locked.execute("ROLLBACK")
    recorder.record([], NOW_S, monotonic_s=100.0)
    assert recorder.numbers().waiting == 0
    assert sorted(stored(history)) == ["e0", "e1", "e2"]
    assert len(recorder.recent()) == 3  # shown once


def test_a_database_that_a_search_finds_damaged_is_replaced_without_a_detection(history: History) -> None:
    recorder = Recorder(history)
    recorder.record([onset(f"e{n}") for n in range(2000)], NOW_S, 0.0)
    history.database.close()
    content = bytearray(history.database.path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    history.database.path.write_bytes(content)
    with pytest.raises(DatabaseError):
        history.page(Filter())
    assert history.database.is_damaged
    recorder.record([], NOW_S, 1.0)
    assert stored(history) == []


def test_what_waits_is_bounded_and_the_excess_counted(
    history: History, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 4)
    recorder = Recorder(history)
    recorder.record([onset(f"e{n}") for n in range(6)], NOW_S, 0.0)
    assert (recorder.numbers().waiting, recorder.numbers().unstored) == (4, 2)
    locked.execute("ROLLBACK")
    recorder.record([], NOW_S, 100.0)
    assert sorted(stored(history)) == ["e2", "e3", "e4", "e5"]


def test_labels_beyond_the_bound_are_counted_together(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COUNTED", 2)
    recorder = Recorder(history)
    recorder.record([onset(f"e{n}", label=f"l{n}") for n in range(5)], NOW_S, 0.0)
    assert (len(recorder.numbers().onsets), recorder.numbers().uncounted) == (2, 3)
