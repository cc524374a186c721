"""A recording that was replaced has its new result alone, and those beside it theirs."""

import os
from functools import partial

import pytest
from support.archive_results import BEGIN, Heard, put_place, put_result
from support.archives import found, record, record_in_parts, rows, thuds

from edgeaudio.archive.compact import compact
from edgeaudio.archive.finished import Finished
from edgeaudio.archive.hearing import hearing_of
from edgeaudio.archive.places import open_place
from edgeaudio.archive.results import Wanted, ask
from edgeaudio.archive.runs import WHOLE, Counts, Shard, run

EVENTS = Wanted("kind = 'event'", {})
ROWS = "SELECT recording, begins_at, ends_at, offset_s, label, score FROM heard"
RECORDINGS = "SELECT recording, begins_at, ends_at FROM recordings"
SOUNDS = ((3, 4), (8, 12), (18, 22), (28, 29))


def run_here(folder, model, out, shard=WHOLE, tell=pytest.fail):
    """Listen to what is to be done, in this process; return the recordings that were listened to."""
    hearing = hearing_of(model)
    place = open_place(str(out), hearing)
    done = Finished(place.done())
    counts = Counts(tell)
    runner = lambda work, jobs: (work(job) for job in jobs)  # noqa: E731
    return [each.recording[9:15] for each in run(found(folder), hearing, place, runner, shard, counts, done=done)]


def asked(out):
    """Return the rows that a question has, without their keys."""
    (place,) = (path.parent for path in out.glob("*/place.json"))
    both = (ROWS, RECORDINGS)
    return ask(place, EVENTS, pytest.fail, lambda results: [sorted(results.rows(sql), key=repr) for sql in both])


def replace_second(folder):
    record_in_parts(folder.parent / "new", thuds(40, (8, 9), (13, 16), (19, 20), (28, 33)), 10, 20, 30)
    (folder.parent / "new" / "20240131_120010.WAV").replace(folder / "20240131_120010.WAV")


@pytest.mark.parametrize("is_compacted", [False, True])
def test_a_recording_that_was_replaced_and_those_beside_it_are_as_if_they_had_never_been_other(
    is_compacted, model, tmp_path
):
    folder, out = tmp_path / "recordings", tmp_path / "out"
    record_in_parts(folder, thuds(40, *SOUNDS), 10, 20, 30)
    assert len(run_here(folder, model, out)) == 4
    (place,) = (path.parent for path in out.glob("*/place.json"))
    if is_compacted:
        compact(place, pytest.fail)
    before = asked(out)
    assert run_here(folder, model, out) == []
    replace_second(folder)
    for shard in (Shard(0, 2), Shard(1, 2)):
        run_here(folder, model, out, shard)
    run_here(folder, model, tmp_path / "fresh")
    wanted = asked(tmp_path / "fresh")
    assert asked(out) == wanted != before
    assert run_here(folder, model, out) == []
    compact(place, pytest.fail)
    assert asked(out) == wanted
    assert len([row for row in rows(out) if row["kind"] == "recording"]) == 4
    assert run_here(folder, model, out) == []


def test_only_those_are_listened_to_again_that_the_replaced_one_is_heard_in(model, tmp_path):
    folder, out = tmp_path / "recordings", tmp_path / "out"
    record_in_parts(folder, thuds(40, *SOUNDS), 10, 20, 30)
    run_here(folder, model, out)
    replace_second(folder)
    assert run_here(folder, model, out) == ["120000", "120010", "120020"]
    assert len(list(out.rglob("*.parquet"))) == 4


def test_a_recording_that_is_added_has_the_border_heard_and_one_that_is_gone_nothing(model, tmp_path):
    folder, out = tmp_path / "recordings", tmp_path / "out"
    record_in_parts(folder, thuds(30, *SOUNDS[:3]), 10, 20)
    (folder / "20240131_120020.WAV").rename(tmp_path / "last.WAV")
    run_here(folder, model, out)
    (tmp_path / "last.WAV").rename(folder / "20240131_120020.WAV")
    assert run_here(folder, model, out) == ["120010", "120020"]
    whole = asked(out)
    run_here(folder, model, tmp_path / "fresh")
    assert whole == asked(tmp_path / "fresh")
    (folder / "20240131_120010.WAV").unlink()
    assert run_here(folder, model, out) == []
    assert asked(out) == whole


def test_a_run_that_was_killed_before_it_removed_the_old_result_has_the_new_one_asked_and_the_next_removes_it(
    model, tmp_path
):
    folder, out = tmp_path / "recordings", tmp_path / "out"
    record(folder, thuds(10, (3, 4)))
    run_here(folder, model, out)
    (old,) = out.rglob("*.parquet")
    content, times = old.read_bytes(), old.stat()
    record(folder, thuds(12, (5, 7)))
    assert run_here(folder, model, out) == ["120000"]
    wanted = asked(out)
    old.write_bytes(content)
    os.utime(old, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert asked(out) == wanted
    assert run_here(folder, model, out) == []
    assert not old.exists()
    assert asked(out) == wanted


def test_a_replaced_recording_that_cannot_be_heard_keeps_its_old_result(model, tmp_path):
    folder, out = tmp_path / "recordings", tmp_path / "out"
    path = record(folder, thuds(10, (3, 4)))
    run_here(folder, model, out)
    wanted = asked(out)
    path.write_bytes(b"RIFF")
    failed: list[str] = []
    assert run_here(folder, model, out, tell=failed.append) == ["120000"]
    assert len(failed) == 1
    assert asked(out) == wanted


def test_compacting_takes_a_replaced_recording_out_of_another_month_and_may_be_killed(tmp_path, monkeypatch):
    place = put_place(tmp_path)
    put_result(place, "a.wav", BEGIN, [Heard("dog", 1)], key="0" * 16 + "old")
    compact(place, pytest.fail)
    put_result(place, "a.wav", BEGIN.replace(month=5), [Heard("cat", 1)], key="0" * 16 + "new")
    labels = partial(ask, place, EVENTS, pytest.fail, lambda results: list(results.rows("SELECT label FROM heard")))
    assert labels() == [("cat",)]
    replace, killed = type(tmp_path).replace, []

    def killing(path, target):
        killed.append(target)
        raise OSError(28, "killed")

    monkeypatch.setattr(type(tmp_path), "replace", killing)
    with pytest.raises(Exception, match="killed"):
        compact(place, pytest.fail)
    assert killed
    assert labels() == [("cat",)]
    monkeypatch.setattr(type(tmp_path), "replace", replace)
    compact(place, pytest.fail)
    assert labels() == [("cat",)]
    assert [path.name for path in (place / "months").iterdir()] == ["2026-05.parquet"]
