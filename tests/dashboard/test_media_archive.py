"""Clips and pictures that are kept: bounds, crashes, and a disk or a database that fails."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dashboard.values import onset
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.dashboard import history, service
from edgeaudio.dashboard.config import DashboardConfig
from edgeaudio.dashboard.database import Database, DatabaseError
from edgeaudio.dashboard.history import History
from edgeaudio.dashboard.media import archive as module
from edgeaudio.dashboard.media.archive import MediaArchive
from edgeaudio.dashboard.media.wire import BY_SUFFIX, Medium
from edgeaudio.dashboard.reviews import Judgement, Reviews
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.wire.consumer import Consumer

NOW_S = 1_800_000_000.0
KB = 1000
BLOCK = 4096


class Kept:
    """An archive on a disk of its own size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clips"
        self.path = folder / "d.sqlite"
        self.free = 10**12
        self.open()

    def open(self, **changes: Any) -> None:
        self.database = Database(self.path, service.SCHEMA, history.upgrade, history.COLUMNS)
        options = {"max_bytes": 40 * BLOCK, "keep_s": 1000.0, "min_free_bytes": 10 * BLOCK} | changes
        self.archive = MediaArchive(self.database, self.folder, **options)
        self.archive.folder.free_bytes = lambda: self.free  # type: ignore[method-assign]
        self.archive.open()

    def close(self) -> None:
        self.archive.close()
        self.database.close()

    def reopen(self, **changes: Any) -> None:
        self.close()
        self.open(**changes)

    def put(
        self, event_id: str, n_bytes: int = BLOCK, *, device: str = "dock", now_s: float = NOW_S, **more: Any
    ) -> bool:
        suffix = more.get("suffix", "opus")
        medium = Medium(device, "porch", event_id, BY_SUFFIX[suffix], event_id.encode().ljust(n_bytes, b"."))
        return self.archive.put(medium, more.get("plot"), now_s)

    def has(self, event_id: str, device: str = "dock") -> bool:
        return self.read(event_id, device) is not None

    def read(self, event_id: str, device: str = "dock", kind: Any = "clip") -> bytes | None:
        found = self.archive.open_medium((device, "porch", event_id), kind)
        if found is None:
            return None
        with os.fdopen(found.descriptor, "rb") as file:
            return file.read()

    @property
    def files(self) -> set[str]:
        return {file.name for file in self.folder.iterdir()} - {"media.lock"}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    yield kept
    kept.close()


def test_what_is_put_is_there_again(kept: Kept) -> None:
    assert kept.put("e1", 5000)
    assert kept.put("e1", 300, suffix="jpg", plot=(0.1, 0.9))
    kept.reopen()
    assert kept.read("e1") == b"e1".ljust(5000, b".")
    assert kept.read("e1", kind="picture") == b"e1".ljust(300, b".")
    assert kept.read("e2") is None
    media = kept.archive.media_of([("dock", "porch", "e1"), ("dock", "porch", "e2")])
    assert {kind: (stored.bytes, stored.plot) for kind, stored in media["dock", "porch", "e1"].items()} == {
        "clip": (5000, None),
        "picture": (300, (0.1, 0.9)),
    }
    assert media.keys() == {("dock", "porch", "e1")}
    assert kept.archive.numbers() == module.MediaNumbers(files=2, bytes=3 * BLOCK, lost=0)
    assert {oct((kept.folder / name).stat().st_mode & 0o777) for name in kept.files} == {"0o600"}
    assert oct(kept.folder.stat().st_mode & 0o777) == "0o700"
    assert all(re.fullmatch(r"media-[0-9a-f]{32}\.(opus|jpg)", name) for name in kept.files)


def test_a_file_that_comes_twice_is_kept_once(kept: Kept) -> None:
    assert kept.put("e1", 5000)
    assert not kept.put("e1", 6000)
    assert len(kept.read("e1") or b"") == 5000
    assert kept.archive.numbers().lost == 0
    assert [arrival.event[2] for arrival in kept.archive.arrivals()] == ["e1"]


def test_arrivals_go_on_after_a_number(kept: Kept) -> None:
    for number in range(5):
        kept.put(f"e{number}")
    found = kept.archive.arrivals()
    assert [arrival.event[2] for arrival in found] == [f"e{number}" for number in range(5)]
    assert [arrival.event[2] for arrival in kept.archive.arrivals(found[2].number)] == ["e3", "e4"]


def test_beyond_the_quota_the_oldest_go(kept: Kept) -> None:
    for number in range(60):
        kept.put(f"e{number}")
    assert kept.archive.numbers().bytes <= 40 * BLOCK
    assert not kept.has("e0")
    assert kept.has("e59")
    assert len(kept.files) == kept.archive.numbers().files >= 39
    assert not kept.put("big", 41 * BLOCK)
    assert kept.has("e59")  # nothing gives way to what has no room anyway
    assert kept.archive.numbers().lost == 1


def test_a_device_that_floods_displaces_its_own(kept: Kept) -> None:
    for number in range(10):
        kept.put(f"q{number}", device="quiet")
    for number in range(60):
        kept.put(f"l{number}", device="loud")
    assert all(kept.has(f"q{number}", "quiet") for number in range(10))
    assert kept.has("l59", "loud")
    assert not kept.has("l0", "loud")


@settings(max_examples=examples(8))
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20 * BLOCK)), max_size=20))
def test_the_quota_holds_and_the_smaller_are_spared(tmp_path_factory: Any, files: list[tuple[int, int]]) -> None:
    kept = Kept(tmp_path_factory.mktemp("kept"))
    try:
        for number, (device, n_bytes) in enumerate(files):
            assert kept.put(f"e{number}", n_bytes, device=f"d{device}")
            assert kept.has(f"e{number}", f"d{device}")
            numbers = kept.archive.numbers()
            assert numbers.bytes <= 40 * BLOCK
            assert numbers.files == len(kept.files)
            on_disk = sum(-(-(kept.folder / name).stat().st_size // BLOCK) * BLOCK for name in kept.files)
            assert numbers.bytes == on_disk
    finally:
        kept.close()


def test_devices_are_bounded(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DEVICES", 2)
    assert [kept.put("e1", device=device) for device in ("a", "b", "c", "a")] == [True, True, False, False]
    assert kept.put("e2", device="b")
    assert kept.archive.numbers().lost == 1


def test_what_is_too_old_goes(kept: Kept) -> None:
    for number in range(3):
        kept.put(f"e{number}", now_s=NOW_S + number)
    while kept.archive.prune(NOW_S + 1001.5):
        pass
    assert [kept.has(f"e{number}") for number in range(3)] == [False, False, True]
    assert len(kept.files) == 1


def test_a_clock_that_was_wrong_for_a_while_takes_nothing_younger_with_it(kept: Kept) -> None:
    for event_id, now_s in (("e1", NOW_S), ("e2", 0.0), ("e3", NOW_S)):
        kept.put(event_id, now_s=now_s)
    assert kept.archive.prune(NOW_S) == 0
    assert kept.archive.prune(NOW_S + 2000) == 3


def test_what_was_reviewed_goes_last_and_not_for_its_age(kept: Kept) -> None:
    log = History(kept.database, keep_s=1e9)
    log.write([onset(event_id) for event_id in ("e1", "e2", "e3")], NOW_S)
    for event_id in ("e1", "e2", "e3", "unknown"):
        assert kept.put(event_id)
    judgements = [Judgement("dock", "porch", "e1", "right"), Judgement("dock", "porch", "e2", "wrong")]
    Reviews(log).judge(judgements, "anna", NOW_S)
    while kept.archive.prune(NOW_S + 2000):
        pass
    assert [event_id for event_id in ("e1", "e2", "e3", "unknown") if kept.has(event_id)] == ["e1", "e2"]
    assert kept.put("e4", now_s=NOW_S + 2000)
    assert kept.put("e5", 38 * BLOCK, now_s=NOW_S + 2000)  # of 40 in all
    assert [event_id for event_id in ("e1", "e2", "e4", "e5") if kept.has(event_id)] == ["e2", "e5"]


def test_a_lower_quota_holds_after_a_restart_and_none_removes_all(kept: Kept) -> None:
    for number in range(30):
        kept.put(f"e{number}")
    kept.reopen(max_bytes=10 * BLOCK)
    while kept.archive.prune(NOW_S):
        pass
    assert kept.archive.numbers().bytes == 10 * BLOCK
    assert kept.has("e29")
    kept.reopen(max_bytes=0)
    assert not kept.archive.is_on
    while kept.archive.prune(NOW_S):
        pass
    assert kept.files == set()


@pytest.mark.parametrize("max_bytes", [0, 1])
def test_switched_off_a_dashboard_does_not_subscribe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_bytes: int
) -> None:
    started: list[str] = []
    monkeypatch.setattr(Consumer, "start", lambda consumer: started.append(consumer.name))
    monkeypatch.setattr(Consumer, "join", lambda *_: None)
    mqtt = MqttConfig("127.0.0.1", 1, "edgeaudio-x")
    config = DashboardConfig(mqtt, "edgeaudio", tmp_path / "d.sqlite", 1e9, tmp_path / "clips", max_bytes)
    dashboard = service.Dashboard(config)
    dashboard.start()
    dashboard.stop()
    assert started == ["detections", "state", "clips"][: 2 + max_bytes]
    assert (dashboard.connections.media is None) is (max_bytes == 0)


def test_switched_off_it_makes_no_folder(tmp_path: Path) -> None:
    database = Database(tmp_path / "d.sqlite", service.SCHEMA, history.upgrade, history.COLUMNS)
    with closing(database):
        database.open()
        archive = MediaArchive(database, tmp_path / "clips", max_bytes=0, keep_s=1.0)
        archive.open()
        assert archive.prune(NOW_S) == 0
    assert not (tmp_path / "clips").exists()


def test_what_a_crash_left_is_removed_and_nothing_else(kept: Kept) -> None:
    kept.put("e1")
    kept.put("e2")
    (name,) = {file for file in kept.files if (kept.folder / file).read_bytes().startswith(b"e2")}
    (kept.folder / name).unlink()
    orphan, part = f"media-{'0' * 32}.opus", f"media-{'1' * 32}.flac.part"
    others = {"notes.txt", "media-1.opus", f"media-{'0' * 32}.exe", f"{'0' * 32}.opus"}
    for file in {orphan, part} | others:
        (kept.folder / file).write_bytes(b"x")
    (kept.folder / f"media-{'2' * 32}.opus").symlink_to(kept.path)
    kept.reopen()
    assert kept.has("e1")
    assert not kept.has("e2")
    assert {orphan, part}.isdisjoint(kept.files)
    assert others < kept.files
    assert kept.path.exists()
    assert kept.put("e2")  # it can come again
    assert kept.archive.numbers().files == 2


def test_a_file_that_lost_its_end_is_not_served(kept: Kept) -> None:
    kept.put("e1", 5000)
    (name,) = kept.files
    os.truncate(kept.folder / name, 4999)
    assert kept.read("e1") is None


def test_a_database_that_was_changed_leads_to_no_other_file(kept: Kept, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    kept.put("e1")
    for name in (str(secret), "../secret", "media.lock", f"media-{'0' * 32}.opus/../../secret", ""):
        with closing(sqlite3.connect(kept.path)) as db:
            db.execute("UPDATE media SET file = ?, bytes = 6", (name,))
            db.commit()
        assert kept.read("e1") is None
    kept.reopen()
    assert secret.exists()


def test_files_of_a_damaged_database_go_with_it(kept: Kept) -> None:
    kept.put("e1")
    kept.database.close()
    kept.path.write_bytes(b"garbage" * 1000)
    for suffix in ("-wal", "-shm"):
        kept.path.with_name(kept.path.name + suffix).unlink(missing_ok=True)
    assert not kept.put("e2")  # found damaged
    with closing(History(kept.database, keep_s=1e9).database):
        kept.database.open()
        assert kept.put("e3")
        assert len(kept.files) == 1
        assert kept.has("e3")
        assert kept.archive.numbers() == module.MediaNumbers(files=1, bytes=BLOCK, lost=1)


def test_a_full_disk_loses_clips_and_leaves_room_for_detections(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(20):
        kept.put(f"e{number}")
    kept.free = 10 * BLOCK  # what is to stay free; others fill the disk
    assert kept.put("new")  # older ones give way
    assert not kept.has("e0")
    kept.free = 0
    for number in range(50):
        kept.put(f"n{number}", 15 * BLOCK)
    assert kept.archive.numbers().lost >= 49
    assert caplog.text.count("left that are for the history") == 1
    stored = History(kept.database, keep_s=1e9).write([onset()], NOW_S)
    assert len(stored.new) == 1


def test_a_folder_that_cannot_be_written_loses_clips_and_is_logged_once(
    kept: Kept, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    kept.close()
    kept.folder = tmp_path / "file" / "clips"
    (tmp_path / "file").write_bytes(b"")
    kept.open()
    assert not kept.put("e1")
    assert not kept.put("e2")
    assert kept.archive.numbers().lost == 2
    assert caplog.text.count("Not a directory") == 1


def test_a_database_that_fails_loses_a_clip_and_leaves_no_file(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(*_: object) -> None:
        raise DatabaseError("history d.sqlite: locked", passing=True)

    with monkeypatch.context() as patch:
        patch.setattr(kept.archive.store, "add", add)
        assert not kept.put("e1")
    assert kept.files == set()
    assert kept.put("e1")
    assert kept.archive.numbers() == module.MediaNumbers(files=1, bytes=BLOCK, lost=1)


def test_a_folder_belongs_to_one_dashboard(kept: Kept, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    kept.put("e1")
    other = Database(tmp_path / "other.sqlite", service.SCHEMA, history.upgrade, history.COLUMNS)
    with closing(other):
        archive = MediaArchive(other, kept.folder, max_bytes=100 * BLOCK, keep_s=1e9)
        archive.open()
        medium = Medium("dock", "porch", "e2", BY_SUFFIX["opus"], b"x")
        assert not archive.put(medium, None, NOW_S)
    assert "another dashboard uses it; set another dashboard.clips_dir" in caplog.text
    assert kept.has("e1")


def test_what_came_by_a_clock_that_was_ahead_goes_in_time_after_all(kept: Kept) -> None:
    kept.put("e1", now_s=NOW_S + 10 * 365 * 86_400)
    kept.put("e2")
    assert kept.archive.prune(NOW_S) == 0
    assert kept.archive.prune(NOW_S + 2000) == 2


def test_by_a_clock_that_is_not_believed_nothing_is_too_old(kept: Kept) -> None:
    kept.put("e1", now_s=0.0)
    kept.put("e2")
    assert kept.archive.prune(None) == 0
    assert kept.archive.prune(NOW_S) == 1


def test_a_disk_that_is_not_mounted_at_a_start_costs_no_clips(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.put("e1")
    kept.close()
    mounted = kept.folder.rename(kept.folder.with_name("mounted"))
    kept.folder.mkdir()
    kept.open()
    assert not kept.put("e2")
    assert kept.archive.prune(NOW_S) == 0
    assert kept.archive.numbers().lost == 1
    (line,) = caplog.messages[-1:]
    assert "see that its disk is mounted" in line
    assert list(kept.folder.iterdir()) == []
    kept.folder.rmdir()
    mounted.rename(kept.folder)
    assert kept.put("e3")
    assert kept.has("e1")
    kept.reopen()
    assert kept.has("e1")


def test_a_folder_that_was_removed_on_purpose_is_begun_anew_as_the_log_says(kept: Kept) -> None:
    kept.put("e1")
    kept.close()
    for file in kept.folder.iterdir():
        file.unlink()
    kept.open()
    (kept.folder / "media.lock").touch()
    assert kept.put("e2")
    assert (kept.has("e1"), kept.has("e2")) == (False, True)
