"""The folder of clips: what is listed, found and marked, and what is passed over."""

from __future__ import annotations

import fcntl
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clips import listing_of, put_clip

from edgeaudio.clips import library
from edgeaudio.clips.library import Clip, ClipLibrary, ClipLibraryError

AT = datetime(2026, 11, 30, 10, 19, tzinfo=UTC)


def test_clips_are_listed_newest_first_and_bounded(tmp_path):
    for number in range(5):
        put_clip(tmp_path, f"id-{number}", AT + timedelta(seconds=number))
    listing = listing_of(tmp_path)
    assert [clip.record.id for clip in listing.clips[:3]] == ["id-4", "id-3", "id-2"]
    assert (listing.count, listing.broken_count) == (5, 0)


def test_what_is_no_record_is_counted_and_does_not_hide_the_clips(tmp_path):
    put_clip(tmp_path, "whole", AT)
    put_clip(tmp_path, "soundless", AT).sound.unlink()
    (tmp_path / "cut.json").write_text('{"version": 1')
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "cut.json")
    listing = listing_of(tmp_path)
    assert [clip.record.id for clip in listing.clips] == ["whole"]
    assert listing.broken_count == len(listing.broken) == 2
    assert any("is missing" in broken.why for broken in listing.broken)


def test_a_record_cannot_name_the_sound_of_another(tmp_path):
    clip = put_clip(tmp_path, "mine", AT, keep=True)
    clip.file.with_name("other.json").write_text(clip.record.to_json())
    listing = listing_of(tmp_path)
    assert (listing.count, listing.broken_count) == (1, 1)


def test_all_clips_come_in_order_after_what_is_broken(tmp_path):
    for number in (2, 0, 1):
        put_clip(tmp_path, f"id-{number}", AT + timedelta(seconds=number))
    put_clip(tmp_path, "mute", AT).sound.unlink()
    (tmp_path / "cut.json").write_text("{")
    clips = ClipLibrary(tmp_path)
    first, *found = clips.in_order(lambda record: record.id != "id-1", newest_first=False)
    assert first.file.name == "cut.json"
    assert [each.record.id if isinstance(each, Clip) else each.why for each in found] == [
        "id-0",
        "its sound 20261130T101900000Z_porch-dog_mute.wav is missing",
        "id-2",
    ]


def test_a_clip_that_goes_while_the_others_are_shown_is_passed_over(tmp_path):
    for number in range(3):
        put_clip(tmp_path, f"id-{number}", AT + timedelta(seconds=number))
    found = ClipLibrary(tmp_path).in_order(lambda _: True, newest_first=True)
    next(found)
    for file in tmp_path.glob("*_id-1.*"):
        file.unlink()
    (last,) = found
    assert isinstance(last, Clip)
    assert last.record.id == "id-0"


def test_each_of_many_ids_is_found_or_says_why_not(tmp_path):
    for name in ("ab-1", "ab-2", "c"):
        put_clip(tmp_path, name, AT)
    found = ClipLibrary(tmp_path).find_each(["ab-2", "ab", "c", "z"])
    assert [each.record.id if isinstance(each, Clip) else type(each) for each in found.values()] == [
        *("ab-2", ClipLibraryError, "c", ClipLibraryError)
    ]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("ab-1", "ab-1"), ("ab-12", "ab-12"), ("c", "c-1")],
    ids=["an id that begins another", "a whole id", "a beginning"],
)
def test_a_clip_is_found_by_its_id_or_the_beginning_of_it(tmp_path, wanted, found):
    for name in ("ab-1", "ab-12", "c-1"):
        put_clip(tmp_path, name, AT)
    assert ClipLibrary(tmp_path).find(wanted).record.id == found


@pytest.mark.parametrize(
    ("wanted", "why"), [("a", "several clips"), ("z", "no clip"), ("", "is empty"), ("../x", "no clip")]
)
def test_what_cannot_be_found_is_one_line(tmp_path, wanted, why):
    for name in ("ab-1", "ab-2"):
        put_clip(tmp_path, name, AT)
    with pytest.raises(ClipLibraryError, match=why):
        ClipLibrary(tmp_path).find(wanted)


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(ClipLibraryError, match="cannot be read: No such file"):
        listing_of(tmp_path / "none")


def test_a_kept_clip_is_not_removed_until_it_is_unmarked(tmp_path):
    clips = ClipLibrary(tmp_path)
    clip = put_clip(tmp_path, "a", AT)
    kept = clips.mark_keep(clip, keep=True)
    assert kept == clips.find("a")
    assert kept.record.review.keep
    assert not clips.remove_unless_kept(clip.file, "a")  # read before it was marked
    clips.mark_keep(kept, keep=False)
    assert clips.remove_unless_kept(clip.file, "a")
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_is_gone_cannot_be_marked(tmp_path):
    clips, clip = ClipLibrary(tmp_path), put_clip(tmp_path, "a", AT)
    assert clips.remove_unless_kept(clip.file, "a")
    with pytest.raises(ClipLibraryError, match="no longer in"):
        clips.mark_keep(clip, keep=True)


def test_a_clip_is_not_changed_while_another_process_changes_it(tmp_path, monkeypatch):
    clips, clip = ClipLibrary(tmp_path), put_clip(tmp_path, "a", AT)
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    monkeypatch.setattr(library, "LOCK_TIMEOUT_S", 0.1)
    with pytest.raises(ClipLibraryError, match="another process"):
        clips.mark_keep(clip, keep=True)
    monkeypatch.setattr(library, "LOCK_TIMEOUT_S", 60.0)
    marking = threading.Thread(target=clips.mark_keep, args=(clip,), kwargs={"keep": True})
    marking.start()
    os.close(holder)
    marking.join(30)
    assert clips.find("a").record.review.keep


def test_a_folder_of_far_too_many_records_is_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(library, "MAX_SCANNED", 3)
    for number in range(4):
        put_clip(tmp_path, f"id-{number}", AT)
    with pytest.raises(ClipLibraryError, match="more than 3 records"):
        listing_of(tmp_path)
