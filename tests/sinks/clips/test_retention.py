"""What is removed, in which order, and what stays whatever happens."""

from __future__ import annotations

import itertools
import logging
import os
from datetime import UTC, datetime, timedelta

import pytest
from support.clip_studio import limits
from support.clips import listing_of, put_clip

from edgeaudio.clips import library
from edgeaudio.clips.library import ClipLibrary
from edgeaudio.sinks.clips import retention
from edgeaudio.sinks.clips.retention import DAY_S, Retention
from edgeaudio.steady_clock import STEADY_S, UNSYNCHRONISED_S, SteadyClock

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def a_clock() -> SteadyClock:
    """NOW, after it has stood for long."""
    running_s = itertools.chain([-UNSYNCHRONISED_S] * 2, itertools.repeat(0.0))
    clock = SteadyClock(lambda: NOW.timestamp() + next(running_s), lambda: next(running_s))
    clock.look()
    return clock


def run(folder, *, free_bytes=1 << 50, **changed) -> set[str]:
    """Ids that are left after a run."""
    Retention(ClipLibrary(folder), limits(**changed), lambda: free_bytes, a_clock()).run(20.0)
    return {clip.record.id for clip in listing_of(folder).clips}


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def test_old_clips_are_removed_and_kept_ones_stay(tmp_path):
    put_clip(tmp_path, "old", days_ago(31))
    put_clip(tmp_path, "loved", days_ago(400), keep=True)
    put_clip(tmp_path, "new", days_ago(29))
    assert run(tmp_path, max_age_s=30 * 86_400) == {"loved", "new"}
    assert len(list(tmp_path.iterdir())) == 4


def test_a_clip_from_before_the_clock_was_set_has_no_age(tmp_path):
    put_clip(tmp_path, "unset", datetime(1970, 1, 1, 0, 3, tzinfo=UTC))
    put_clip(tmp_path, "new", days_ago(1))
    assert run(tmp_path, max_age_s=30 * 86_400) == {"unset", "new"}
    assert run(tmp_path, max_bytes=1) == set()


class Board:
    """A machine whose clock can be set."""

    def __init__(self, folder, *, synchronised: bool | None = True, **changed) -> None:
        self.folder = folder
        self.running_s = 0.0
        self.ahead_s = NOW.timestamp()
        self.synchronised = synchronised
        self.clock = SteadyClock(
            lambda: self.ahead_s + self.running_s, lambda: self.running_s, lambda: self.synchronised
        )
        changed = {"max_age_s": 30 * DAY_S} | changed
        self.retention = Retention(ClipLibrary(folder), limits(**changed), lambda: 1 << 50, self.clock)

    def run(self, for_s: float = 0.0) -> set[str]:
        """Go on for so long, and return the ids of clips that are left after a run."""
        self.clock.look()
        self.running_s += for_s
        self.retention.run(20.0)
        return {clip.record.id for clip in listing_of(self.folder).clips}

    def put(self, event_id: str) -> None:
        """Write a clip now."""
        now_s = self.ahead_s + self.running_s
        clip = put_clip(self.folder, event_id, datetime.fromtimestamp(now_s, UTC), n_bytes=100_000)
        os.utime(clip.file, (now_s, now_s))


DECADE_S = 3650 * DAY_S


def test_a_clock_that_is_years_ahead_for_a_while_removes_nothing_for_its_age(tmp_path, caplog):
    caplog.set_level(logging.INFO, "edgeaudio")
    board = Board(tmp_path)
    board.put("before")
    assert board.run(10 * DAY_S) == {"before"}
    board.ahead_s += DECADE_S
    board.put("ahead")
    for _ in range(5):
        assert board.run(3600.0) == {"before", "ahead"}
    line = caplog.messages[-1]
    assert "; 2 stay (0.2 MB), of which 0 are marked keep, and 1 seem too old by a clock that has not stood for" in line
    board.ahead_s -= DECADE_S
    assert board.run(3600.0) == {"before", "ahead"}
    assert board.run(31 * DAY_S) == {"ahead"}


def test_a_board_that_starts_years_ahead_removes_nothing_until_its_clock_is_set(tmp_path):
    put_clip(tmp_path, "before", days_ago(1))
    board = Board(tmp_path, synchronised=False)
    board.ahead_s += DECADE_S
    for _ in range(6):
        assert board.run(DAY_S) == {"before"}
    board.ahead_s -= DECADE_S
    board.synchronised = True
    assert board.run(DAY_S) == {"before"}


@pytest.mark.parametrize("synchronised", [True, None, False])
def test_old_clips_are_removed_once_the_clock_has_stood(tmp_path, synchronised):
    put_clip(tmp_path, "old", days_ago(31))
    board = Board(tmp_path, synchronised=synchronised)
    enough_s = UNSYNCHRONISED_S if synchronised is False else STEADY_S
    assert board.run(enough_s - 60.0) == {"old"}
    board.ahead_s += 600.0  # no step that makes clips old
    assert board.run(120.0) == set()


def test_an_age_of_minutes_is_not_waited_for_longer_than_it_lasts(tmp_path):
    put_clip(tmp_path, "old", days_ago(1))
    assert Board(tmp_path, max_age_s=900.0).run(900.0) == set()


def test_a_clip_from_the_future_is_as_old_as_its_file_and_does_not_outlive_newer_ones(tmp_path):
    board = Board(tmp_path, max_bytes=450_000)
    board.ahead_s += DECADE_S
    board.put("ahead")
    board.ahead_s -= DECADE_S
    assert board.run(DAY_S) == {"ahead"}
    board.running_s += DAY_S
    board.put("newer")
    assert board.run() == {"ahead", "newer"}
    for number in range(3):
        board.running_s += 60.0
        board.put(f"newest-{number}")
    assert board.run() == {"newer", "newest-0", "newest-1", "newest-2"}


def test_a_clock_that_is_behind_changes_no_date(tmp_path):
    put_clip(tmp_path, "new", days_ago(1))
    board = Board(tmp_path, synchronised=False)
    board.ahead_s -= 200 * DAY_S
    assert board.run(DAY_S) == {"new"}
    board.ahead_s += 200 * DAY_S
    board.synchronised = True
    assert board.run(DAY_S) == {"new"}


def test_the_best_of_each_label_stay(tmp_path):
    for number, score in enumerate((0.5, 0.9, 0.7, 0.6)):
        put_clip(tmp_path, f"dog-{number}", days_ago(number), score=score)
    put_clip(tmp_path, "cat", days_ago(1), label="Cat", score=0.1)
    put_clip(tmp_path, "loved", days_ago(1), score=0.1, keep=True)
    assert run(tmp_path, best_per_label=2) == {"dog-1", "dog-2", "cat", "loved"}


def test_the_oldest_give_way_to_the_bytes_and_to_the_disk(tmp_path):
    for day in range(10):
        put_clip(tmp_path, f"day-{day}", days_ago(day), n_bytes=100_000)
    put_clip(tmp_path, "loved", days_ago(100), n_bytes=100_000, keep=True)
    # kept clips count, and are not removed
    assert run(tmp_path, max_bytes=760_000) == {"loved", *(f"day-{day}" for day in range(6))}
    left = run(tmp_path, free_bytes=900_000, min_free_bytes=1_000_000)
    assert left == {"loved", *(f"day-{day}" for day in range(4))}
    assert run(tmp_path, free_bytes=0, min_free_bytes=1 << 40) == {"loved"}


def test_a_clip_that_cannot_be_removed_keeps_no_other_from_it(tmp_path, caplog):
    odd = put_clip(tmp_path, "odd", days_ago(40))
    odd.sound.unlink()
    odd.sound.mkdir()  # cannot be unlinked, by root neither
    put_clip(tmp_path, "old", days_ago(31))
    run(tmp_path, max_age_s=30 * 86_400)
    assert [file.name for file in tmp_path.glob("*.json")] == [odd.file.name]
    (line,) = [line for line in caplog.messages if "could not be removed" in line]
    assert line == f"clips: 1 could not be removed, such as {odd.file.name}: Is a directory"


def test_a_folder_never_holds_more_clips_than_can_be_read(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(library, "MAX_SCANNED", 20)
    monkeypatch.setattr(retention, "MAX_CLIPS", 18)
    (tmp_path / "broken.json").write_text("{")
    put_clip(tmp_path, "loved", days_ago(100), keep=True)
    for day in range(30):
        put_clip(tmp_path, f"day-{day}", days_ago(day))
    caplog.set_level(logging.INFO, "edgeaudio")
    for _ in range(10):  # each sees some of them
        Retention(ClipLibrary(tmp_path), limits(), lambda: 1 << 50, a_clock()).run(20.0)
    left = {clip.record.id for clip in listing_of(tmp_path).clips}
    assert len(left) == 17
    assert "loved" in left
    assert " beyond 18 clips); " in caplog.messages[0]


def test_kept_clips_that_leave_no_room_for_others_are_said(tmp_path, caplog):
    put_clip(tmp_path, "new", days_ago(0), n_bytes=1000)
    put_clip(tmp_path, "loved", days_ago(100), n_bytes=50_000, keep=True)
    assert run(tmp_path, max_bytes=60_000) == {"loved", "new"}
    assert caplog.messages == []
    assert run(tmp_path, max_bytes=40_000) == {"loved"}
    (line,) = caplog.messages
    assert line.startswith("clips: those marked keep have more than clips.max_mb")


def test_a_locked_folder_is_waited_for_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(library, "LOCK_TIMEOUT_S", 0.01)
    for number in range(3):
        put_clip(tmp_path, f"old-{number}", days_ago(31))
    with ClipLibrary(tmp_path).locked():
        assert len(run(tmp_path, max_age_s=30 * 86_400)) == 3
    (line,) = [line for line in caplog.messages if "could not be removed" in line]
    assert line.startswith("clips: 1 could not be removed")
    assert line.endswith(": another process changes the clips")


def test_nothing_is_touched_that_is_no_clip(tmp_path):
    clip = put_clip(tmp_path, "old", days_ago(31))
    mine = {
        "notes.json": "{}",
        "20201130T101900123Z_porch-dog_x.json": "not JSON",
        "20201130T101900123Z_porch-dog_x.wav": "sound without a record",
        ".incomplete/20201130T101900123Z_porch-dog_y.wav": "being written",
    }
    for name, text in mine.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "other.json").write_text(clip.record.to_json())  # names the clip's sound
    (tmp_path / "linked.json").symlink_to(clip.file)
    assert run(tmp_path, max_age_s=30 * 86_400) == set()
    for name, text in mine.items():
        assert (tmp_path / name).read_text() == text
    assert not clip.file.exists()
    assert not clip.sound.exists()
    assert (tmp_path / "other.json").exists()
    assert (tmp_path / "linked.json").is_symlink()


def test_a_removal_that_was_interrupted_is_completed(tmp_path):
    put_clip(tmp_path, "old", days_ago(31)).sound.unlink()
    run(tmp_path, max_age_s=30 * 86_400)
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_is_marked_during_the_run_stays(tmp_path):
    clips = ClipLibrary(tmp_path)
    for number in range(3):
        put_clip(tmp_path, f"id-{number}", days_ago(31 + number))
    run_ = Retention(clips, limits(max_age_s=1.0), lambda: 1 << 50, a_clock())
    steps = run_._steps()
    for _ in range(4):
        next(steps)
    left = listing_of(tmp_path).clips[0]
    clips.mark_keep(left, keep=True)
    list(steps)
    assert [clip.record.id for clip in listing_of(tmp_path).clips] == [left.record.id]


def test_each_run_logs_its_counts_and_why_the_rest_stays(tmp_path, caplog):
    caplog.set_level(logging.INFO, "edgeaudio")
    put_clip(tmp_path, "old", days_ago(31))
    put_clip(tmp_path, "loved", days_ago(31), keep=True)
    put_clip(tmp_path, "new", days_ago(1))
    (tmp_path / "broken.json").write_text("{")
    run(tmp_path, max_age_s=30 * 86_400)
    (line,) = caplog.messages
    assert line.startswith("clips: 1 removed (1 older than 30 days); 2 stay (0.0 MB), of which 1 are marked keep; ")
    assert line.endswith("broken records, not touched: 1")


def test_runs_are_made_in_small_steps_when_they_are_due(tmp_path, monkeypatch):
    for number in range(50):
        put_clip(tmp_path, f"id-{number}", days_ago(31))
    clips = ClipLibrary(tmp_path)
    due = Retention(clips, limits(max_age_s=1.0, max_bytes=10_000_000), lambda: 1 << 50, a_clock())
    works = 0
    while listing_of(tmp_path).count:
        due.work(1e-4)
        works += 1
        assert works < 1000
    assert works > 2
    due.work(1.0)
    put_clip(tmp_path, "again", days_ago(31))
    due.work(1.0)
    assert listing_of(tmp_path).count == 1  # an hour has not passed
    due.added(11_000_000)
    due.work(1.0)
    assert listing_of(tmp_path).count == 0
    put_clip(tmp_path, "again", days_ago(31))
    monkeypatch.setattr(retention, "BUSY_INTERVAL_S", 0.0)
    due.added(1)
    due.work(1.0)
    assert listing_of(tmp_path).count == 0


@pytest.mark.parametrize("n_clips", [0, 1])
def test_a_folder_that_is_gone_is_an_error(tmp_path, n_clips):
    folder = tmp_path / "clips"
    with pytest.raises(Exception, match="cannot be read"):
        run(folder)
    for _ in range(n_clips):
        put_clip(folder, "a", NOW)
        assert run(folder) == {"a"}
