"""The sink of examples/csv_sink.py, run as the agent runs it: its rows, on disks that work and that fail."""

from __future__ import annotations

import csv
import os
import resource
import shutil
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from support.sinks import opened, running
from support.waiting import wait_until

from edgeaudio.health.report import SinkState
from edgeaudio.hub import Hub
from edgeaudio.types import Event, SourceState, SourceStatus
from examples.csv_sink import HEADER, CsvSink

AT = datetime(2026, 3, 1, 12, 0, 0, 123900, UTC)


def event(label: str = "siren", **more: object) -> Event:
    values = {"kind": "onset", "score": 0.87654, "at": AT, "duration_s": 1.0} | more
    return Event(id="1", source="porch", model="home", label=label, **values)  # type: ignore[arg-type]


def rows(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def labels(path: Path) -> list[str]:
    """Return the rows below the one header."""
    header, *below = rows(path) or [list(HEADER)]
    assert header == list(HEADER)
    return [row[2] for row in below]


def test_each_onset_and_offset_is_a_row_under_one_header(tmp_path: Path):
    hub, path = Hub(), tmp_path / "detections.csv"
    sink = CsvSink(path)
    with running(sink, hub):
        opened(sink, hub)
        assert path.read_text() == "time,source,label,kind,score,duration_s\n"
        hub.publish(event())
        wait_until(lambda: len(rows(path)) == 2)  # while it runs
        hub.publish(SourceStatus("porch", SourceState.LISTENING, AT))
        hub.publish(event(kind="offset", score=0.9, at=AT + timedelta(seconds=2), duration_s=2.0))
    assert path.read_text().splitlines()[1:] == [
        "2026-03-01T12:00:00.123Z,porch,siren,onset,0.877,1.0",
        "2026-03-01T12:00:02.123Z,porch,siren,offset,0.9,2.0",
    ]


def test_an_existing_file_is_appended_to(tmp_path: Path):
    hub, path = Hub(), tmp_path / "detections.csv"
    for label in ("siren", "dog"):
        sink = CsvSink(path)
        with running(sink, hub):
            opened(sink, hub)
            hub.publish(event(label))
    assert labels(path) == ["siren", "dog"]


@pytest.mark.parametrize("label", ["Glass, breaking", 'a "loud" bang', '",', "two\nlines", "Türklingel 🔔", " x "])
def test_a_label_of_any_characters_is_one_field(label: str, tmp_path: Path):
    hub, path = Hub(), tmp_path / "detections.csv"
    sink = CsvSink(path)
    with running(sink, hub):
        opened(sink, hub)
        hub.publish(event(label))
        hub.publish(event("next"))
    assert labels(path) == [label, "next"]
    assert {len(row) for row in rows(path)} == {len(HEADER)}


def test_times_are_in_utc_whatever_the_zone_of_the_event(tmp_path: Path):
    sink = CsvSink(tmp_path / "detections.csv")
    sink.handle(event(at=datetime(2026, 3, 1, 1, 0, 0, tzinfo=timezone(timedelta(hours=2)))))
    assert rows(tmp_path / "detections.csv")[1][0] == "2026-02-28T23:00:00.000Z"


def test_a_test_detection_is_no_row(tmp_path: Path):
    hub, path = Hub(), tmp_path / "detections.csv"
    sink = CsvSink(path)
    with running(sink, hub):
        opened(sink, hub)
        hub.publish(event("siren", test=True))
        hub.publish(event("dog"))
    assert labels(path) == ["dog"]


def test_a_folder_that_vanishes_disables_it_until_it_is_back(tmp_path: Path):
    hub, path = Hub(), tmp_path / "usb" / "detections.csv"
    path.parent.mkdir()
    sink = CsvSink(path)
    with running(sink, hub) as runner:
        opened(sink, hub)
        hub.publish(event("before"))
        wait_until(lambda: labels(path) == ["before"])
        shutil.rmtree(path.parent)
        hub.publish(event("lost"))
        wait_until(lambda: runner.numbers().state is SinkState.FAILED)
        assert "FileNotFoundError" in runner.numbers().detail
        assert str(path) in runner.numbers().detail
        path.parent.mkdir()
        wait_until(lambda: runner.numbers().state is SinkState.RUNNING)
        hub.publish(event("after"))
        wait_until(lambda: labels(path) == ["after"])
        assert runner.numbers().detail == ""


def test_a_file_that_was_moved_away_begins_anew(tmp_path: Path):
    hub, path = Hub(), tmp_path / "detections.csv"
    sink = CsvSink(path)
    with running(sink, hub) as runner:
        opened(sink, hub)
        hub.publish(event("before"))
        wait_until(lambda: labels(path) == ["before"])
        path.rename(tmp_path / "detections.csv.1")
        hub.publish(event("after"))
        wait_until(lambda: labels(path) == ["after"])
        assert runner.numbers().failures == 0
    assert labels(tmp_path / "detections.csv.1") == ["before"]


def test_a_disk_that_is_full_at_the_start_is_reported_before_the_first_event(tmp_path: Path):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    hub, path = Hub(), tmp_path / "detections.csv"
    path.symlink_to("/dev/full")
    sink = CsvSink(path)
    with running(sink, hub) as runner:
        wait_until(lambda: runner.numbers().state is SinkState.FAILED)
        assert "No space left on device" in runner.numbers().detail
        path.unlink()
        wait_until(lambda: runner.numbers().state is SinkState.RUNNING)
        hub.publish(event("after"))
        wait_until(lambda: labels(path) == ["after"])


def test_a_disk_that_fills_up_in_the_middle_of_a_row_leaves_no_half_of_it(tmp_path: Path):
    hub, path = Hub(), tmp_path / "detections.csv"
    sink = CsvSink(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with running(sink, hub) as runner:
        opened(sink, hub)
        hub.publish(event("before"))
        wait_until(lambda: labels(path) == ["before"])
        whole = path.read_bytes()
        # no file of this process may grow beyond that: the kernel takes ten bytes of the next row, as a full disk would
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, before[1]))
        try:
            hub.publish(event('lost, "half'))
            wait_until(lambda: runner.numbers().failures > 0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert path.read_bytes() == whole
        wait_until(lambda: runner.numbers().state is SinkState.RUNNING)
        hub.publish(event("after"))
        wait_until(lambda: labels(path) == ["before", "after"])


def test_a_file_without_permission_is_reported(tmp_path: Path):
    if os.access("/etc/shadow", os.W_OK):
        path = tmp_path  # root may write everywhere, but not to a folder
    else:
        path = tmp_path / "detections.csv"
        path.touch(0o400)
    with running(CsvSink(path), Hub()) as runner:
        wait_until(lambda: runner.numbers().state is SinkState.FAILED)
        assert str(path) in runner.numbers().detail
