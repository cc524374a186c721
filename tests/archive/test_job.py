"""One recording becomes one result: the rows are what `edgeaudio.detect` gives, whole or not at all."""

import os
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.archives import DETECTOR, START, events, heard, jobs, record, record_in_parts, rows, thuds
from support.examples import examples
from support.media import sine, write_media
from support.tflite import LABELS, model_directory

from edgeaudio import api
from edgeaudio.archive.job import run_job
from edgeaudio.archive.storage import LocalFolder


def times(row):
    return row["label"], row["begins_at"], row["ends_at"]


@pytest.mark.parametrize(
    ("codec", "ending"),
    [("pcm_s16le", "wav"), ("flac", "flac"), ("libmp3lame", "mp3"), ("libopus", "opus"), ("aac", "m4a")],
)
def test_rows_are_the_events_of_detect_in_the_time_of_the_sound(codec, ending, model, tmp_path):
    path = tmp_path / "recordings" / f"20240131_120000.{ending}"
    path.parent.mkdir()
    silence = np.zeros((1, 48_000), np.float32)
    write_media(path, codec, np.concatenate([silence, sine(3, 48_000, 2.0, amplitude=0.9), silence], axis=1), 48_000)
    found = heard(path.parent, model, tmp_path / "out")
    wanted = list(api.detect(path, model, start=START))
    offsets = [event for event in wanted if event.kind == "offset"]
    begins = {event.id: event.at for event in wanted if event.kind == "onset"}
    assert sorted(times(row) for row in found) == sorted(
        (event.label, begins[event.id], begins[event.id] + timedelta(seconds=event.duration_s)) for event in offsets
    )
    assert found
    assert {row["score"] for row in found} == {np.float32(event.score) for event in offsets}


def test_a_recording_in_which_nothing_is_heard_has_a_row_of_its_length(model, tmp_path):
    record(tmp_path / "recordings", thuds(3))
    assert heard(tmp_path / "recordings", model, tmp_path / "out") == []
    (row,) = rows(tmp_path / "out")
    assert (row["kind"], row["recording"], row["label"], row["score"]) == (
        "recording",
        "20240131_120000.WAV",
        None,
        None,
    )
    assert (row["begins_at"], row["ends_at"]) == (START, START + timedelta(seconds=3))
    assert (row["offset_s"], row["duration_s"], row["model"]) == (0.0, 3.0, "test")


def test_scores_from_the_floor_on_are_rows_as_well(model, tmp_path):
    path = record(tmp_path / "recordings", thuds(2, (0.5, 1.0)))
    heard(tmp_path / "recordings", model, tmp_path / "out", scores_floor=0.25)
    found = [row for row in rows(tmp_path / "out") if row["kind"] == "score"]
    wanted = [
        (prediction.at, label, np.float32(score))
        for prediction in api.listen(path, model, period_ms=50, include_scores=True, start=START)
        for label, score in (prediction.scores or {}).items()
        if score >= 0.25
    ]
    assert sorted((row["begins_at"], row["label"], row["score"]) for row in found) == sorted(wanted)
    assert wanted


def test_the_threshold_of_a_label_can_be_set(model, tmp_path):
    record(tmp_path / "recordings", thuds(2, (0.5, 1.0)))
    assert {row["label"] for row in heard(tmp_path / "recordings", model, tmp_path / "out")} == {
        "first",
        "second",
        "third",
    }
    one = heard(tmp_path / "recordings", model, tmp_path / "other", thresholds={"first": 1.0, "second": 1.0})
    assert {row["label"] for row in one} == {"third"}


@given(
    st.tuples(st.integers(12, 14), st.integers(25, 27)),
    st.lists(st.integers(1, 390), min_size=2, max_size=8, unique=True),
)
@settings(max_examples=examples(8))
def test_cutting_a_recording_neither_doubles_nor_loses_an_event(cuts_s, edges):
    edges = sorted(edges)[: len(edges) // 2 * 2]
    # apart by more than the detector's hold, and shorter than what is whole over a border
    thuds_s = [(a / 10, b / 10) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a < 90]
    thuds_s = [thud for i, thud in enumerate(thuds_s) if i == 0 or thud[0] - thuds_s[i - 1][1] > 1]
    samples = thuds(40, *thuds_s)
    with TemporaryDirectory() as folder:
        tmp_path = Path(folder)
        model = str(model_directory(tmp_path, detector=DETECTOR))
        record(tmp_path / "whole", samples)
        record_in_parts(tmp_path / "parts", samples, *cuts_s)
        whole, parts = (heard(tmp_path / name, model, tmp_path / f"out-{name}") for name in ("whole", "parts"))
    for label in LABELS:
        for one, other in zip(
            *([row for row in each if row["label"] == label] for each in (parts, whole)), strict=True
        ):
            assert abs(one["begins_at"] - other["begins_at"]) <= timedelta(seconds=0.11)
            assert abs(one["ends_at"] - other["ends_at"]) <= timedelta(seconds=0.11)


def test_a_long_event_is_a_row_in_each_recording_and_no_second_is_in_two(model, tmp_path):
    record_in_parts(tmp_path / "recordings", thuds(60, (2, 55)), 20, 40)
    found = [row for row in heard(tmp_path / "recordings", model, tmp_path / "out") if row["label"] == "first"]
    assert len(found) == 3
    assert all(first["ends_at"] == second["begins_at"] for first, second in pairwise(found))
    assert sum(row["duration_s"] for row in found) == pytest.approx(53, abs=0.2)


def test_recordings_with_a_gap_are_not_joined(model, tmp_path):
    record(tmp_path / "recordings", thuds(5, (4, 5)))
    record(tmp_path / "recordings", thuds(5, (0, 1)), START + timedelta(seconds=7))
    found = [row for row in heard(tmp_path / "recordings", model, tmp_path / "out") if row["label"] == "first"]
    assert [row["recording"] for row in found] == ["20240131_120000.WAV", "20240131_120007.WAV"]
    assert (found[0]["ends_at"], found[1]["begins_at"]) == (START + timedelta(seconds=5), START + timedelta(seconds=7))


def break_recording(kind, path):
    content = path.read_bytes()
    if kind == "cut off":
        path.write_bytes(content[:-2000])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "no sound":
        path.write_bytes(os.urandom(5000))
    elif kind == "no samples":
        path.write_bytes(content[:44])


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("cut off", "cut off after "),
        ("empty", "the file is empty"),
        ("no sound", "not a recording that can be read"),
        ("no samples", "cut off|holds no sound|not a recording"),
    ],
)
def test_a_broken_recording_is_one_line_and_has_no_result(kind, line, model, tmp_path):
    break_recording(kind, record(tmp_path / "recordings", thuds(2, (0.5, 1.0))))
    (job,) = jobs(tmp_path / "recordings", model, tmp_path / "out")
    outcome = run_job(job)
    assert outcome.error is not None
    assert any(each in outcome.error for each in line.split("|"))
    assert "\n" not in outcome.error
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["place.json"]


@pytest.mark.parametrize("kind", ["gone", "changed"])
def test_a_recording_that_is_another_one_by_now_has_no_result(kind, model, tmp_path):
    path = record(tmp_path / "recordings", thuds(2))
    (job,) = jobs(tmp_path / "recordings", model, tmp_path / "out")
    if kind == "gone":
        path.unlink()
    else:
        record(tmp_path / "recordings", thuds(3))
    assert (
        run_job(job).error
        == {
            "gone": "cannot be read: No such file or directory",
            "changed": "was changed meanwhile; run again when it is complete",
        }[kind]
    )
    assert rows(tmp_path / "out") == []


def test_a_neighbour_that_is_gone_costs_nothing_but_the_border(model, tmp_path):
    record_in_parts(tmp_path / "recordings", thuds(20, (3, 4), (14, 15)), 10)
    first, second = jobs(tmp_path / "recordings", model, tmp_path / "out")
    (tmp_path / "recordings" / "20240131_120010.WAV").rename(tmp_path / "elsewhere.wav")
    assert run_job(first).error is None
    (tmp_path / "elsewhere.wav").rename(second.source)
    (tmp_path / "recordings" / "20240131_120000.WAV").unlink()
    assert run_job(second).error is None
    assert len(events(tmp_path / "out")) == 6


def test_a_full_disk_ends_the_run_and_leaves_nothing(model, tmp_path, monkeypatch):
    record(tmp_path / "recordings", thuds(2))
    (job,) = jobs(tmp_path / "recordings", model, tmp_path / "out")
    full = OSError(28, os.strerror(28))
    monkeypatch.setattr(LocalFolder, "put", lambda *_: (_ for _ in ()).throw(full))
    outcome = run_job(job)
    assert outcome.ends_run
    assert outcome.error is not None
    assert outcome.error.endswith("results cannot be written: No space left on device; make room, then run again")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["place.json"]


def test_a_model_that_was_changed_since_planning_ends_the_run(model, tmp_path):
    record(tmp_path / "recordings", thuds(2))
    (job,) = jobs(tmp_path / "recordings", model, tmp_path / "out")
    outcome = run_job(replace(job, hearing=replace(job.hearing, place="test-000000000000")))
    assert outcome.ends_run
    assert outcome.error == "the model test was changed, or is another one here; run again"


def test_a_fault_of_ours_is_one_line(model, tmp_path, monkeypatch):
    record(tmp_path / "recordings", thuds(2))
    (job,) = jobs(tmp_path / "recordings", model, tmp_path / "out")
    monkeypatch.setattr("edgeaudio.archive.job.long_blocks", lambda _: 1 / 0)
    assert run_job(job).error == "a fault of edgeaudio: ZeroDivisionError: division by zero"
