"""`edgeaudio archive plan | run | status`: from a folder to results, ended at any moment, and gone on with."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.archives import RATE, START, record, record_in_parts, rows, thuds
from support.tflite import without_runtime_line
from support.waiting import wait_until
from support.wave_files import write_wave

from edgeaudio import cli
from edgeaudio.archive import dask_jobs
from edgeaudio.archive.storage import LocalFolder
from edgeaudio.errors import EdgeaudioError
from edgeaudio.extras import installing

NOTHING_THERE = "edgeaudio: {}: no recordings there; name a folder of them"


@pytest.fixture
def archive(tmp_path, model, capfd):
    """Run `edgeaudio archive`; its status, and the lines on standard output and standard error."""

    def running(action, *arguments, folder="recordings", zone="UTC"):
        where = [] if action == "status" else [str(tmp_path / folder), "--model", model]
        if where and zone:
            where += ["--zone", zone]
        status = cli.main(["archive", action, *where, "--out", str(tmp_path / "out"), *arguments])
        out, err = capfd.readouterr()
        return status, out.splitlines(), without_runtime_line(err).splitlines()

    return running


def test_a_folder_is_planned_listened_to_and_never_again(archive, tmp_path):
    record_in_parts(tmp_path / "recordings", thuds(30, (5, 6), (9, 11)), 10, 20)
    status, lines, errors = archive("plan")
    assert (status, errors) == (0, [])
    assert lines[:4] == [
        "month    recordings  done   sound     size",
        "2024-01           3     0  30.0 s  0.00 GB",
        "all               3     0  30.0 s  0.00 GB",
        "to do:    3 of 3 recordings",
    ]
    assert not (tmp_path / "out").exists()

    status, lines, errors = archive("run", "--workers", "2")
    assert (status, errors) == (0, [])
    assert lines[0].startswith("done:     3 recordings, 30.0 s, 6 events, ")
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.parquet")}

    status, lines, _ = archive("run")
    assert (status, lines[:2]) == (
        0,
        ["done:     0 recordings, 0.0 s, 0 events", "before:   3 recordings done already"],
    )
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.parquet")} == before
    assert archive("status")[1] == [
        f"place:    {_place(tmp_path)}",
        "done:     3 recordings, 30.0 s",
        "left:     0 of the 3 that the last run found",
        "failed:   0",
    ]

    # another floor is another place, and leaves the first one's rows alone
    archive("run", "--scores", "0.5", "--workers", "1")
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert {file: file.stat().st_mtime_ns for file in before} == before


def _place(tmp_path):
    (place,) = (tmp_path / "out").iterdir()
    return place


def test_parts_give_the_rows_of_the_whole(archive, tmp_path):
    record_in_parts(tmp_path / "recordings", thuds(60, (5, 6), (9, 11), (29.5, 31)), 10, 20, 30, 40, 50)
    archive("run", "--workers", "1")
    whole = {file.name: file.read_bytes() for file in (tmp_path / "out").rglob("*.parquet")}
    (tmp_path / "out").rename(tmp_path / "whole")
    for part in range(3):
        assert archive("run", "--workers", "1", "--shard", f"{part}/3")[0] == 0
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").rglob("*.parquet")} == whole


def test_what_is_left_out_is_named_and_tried_again(archive, tmp_path):
    record_in_parts(tmp_path / "recordings", thuds(20), 10)
    bad = tmp_path / "recordings" / "20240131_130000.WAV"
    bad.write_bytes(b"")
    (tmp_path / "recordings" / "holiday.wav").write_bytes(b"?")
    status, lines, errors = archive("run", "--workers", "1")
    assert status == 1
    assert errors[1] == "edgeaudio: 20240131_130000.WAV: the file is empty; copy or record it again"
    assert [error.split(":")[1] for error in errors] == [" holiday.wav", " 20240131_130000.WAV"]
    assert lines[1] == "left out: 2 recordings"
    named = errors[0].removeprefix("edgeaudio: ")
    assert [line.partition(":")[0] for line in lines[2:4]] == ["  holiday.wav", "  20240131_130000.WAV"]
    status, lines, _ = archive("status")
    assert (status, lines[1:]) == (
        1,
        [
            "done:     2 recordings, 20.0 s",
            "left:     1 of the 3 that the last run found",
            "failed:   1",
            "  20240131_130000.WAV: the file is empty; copy or record it again",
            "left out: 1 recording",
            f"  {named}",
        ],
    )
    bad.write_bytes((tmp_path / "recordings" / "20240131_120000.WAV").read_bytes())
    (tmp_path / "recordings" / "holiday.wav").unlink()
    assert archive("run", "--workers", "1")[0] == 0


def test_thousands_that_are_left_out_are_few_lines_and_all_in_a_table(archive, tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(2000):
        (folder / f"{START + timedelta(minutes=number):SITE_%Y%m%d_%H%M%S}.wav").write_bytes(b"?")
    (folder / "holiday.wav").write_bytes(b"?")
    write_wave(folder / "20240131T120000Z.wav", thuds(1), RATE)
    no_zone = "SITE_20240131_120000.wav: its name (Wildlife Acoustics) says 2024-01-31 12:00:00, in no time zone: give "
    lines = []
    for action in ("plan", "run"):
        status, lines, errors = archive(action, zone=None)
        assert (status, len(errors)) == (1, 2)
        assert errors[0].startswith(f"edgeaudio: {no_zone}")
        named = lines[lines.index(f"left out: 2001 {'files' if action == 'plan' else 'recordings'}") + 1 :][:2]
        assert named[0].startswith(f"  {no_zone}")
        assert named[0].endswith(" (and 1,999 more like it)")
        assert named[1].startswith("  holiday.wav: its name has no time that is known")
    table = _place(tmp_path) / "left-out.csv"
    assert f"all:      {table}" in lines
    with table.open(newline="", encoding="utf-8") as file:
        rows_of_table = list(csv.DictReader(file))
    assert {row["recording"] for row in rows_of_table} == {
        file.name for file in folder.iterdir() if not file.name.endswith("Z.wav")
    }
    assert rows_of_table[-2]["reason"].startswith("its name (Wildlife Acoustics) says 2024-02-01 21:19:00, in no")
    for file in folder.glob("*[!Z].wav"):
        file.unlink()
    assert archive("run")[0] == 0
    assert not table.exists()


def test_a_table_names_recordings_that_are_not_there(archive, tmp_path):
    record(tmp_path / "recordings", thuds(1)).rename(tmp_path / "recordings" / "holiday.wav")
    table = tmp_path / "begins.csv"
    line = "2024-07-01T10:00:00Z"
    table.write_text(f"file,begins_at\nHoliday.wav,{line}\nholiday.wav,{line}\nsite/holiday.wav,{line}\n")
    said = f"edgeaudio: {table}: no recording is called Holiday.wav and 1 more; paths are those below the folder that"
    for action in ("plan", "run"):
        status, _, (error,) = archive(action, "--begins", str(table))
        assert (status, error.startswith(said)) == (0, True)
    assert archive("run", "--begins", str(table), "--shard", "1/2")[2] == []  # told once


def test_nothing_done_is_status_2(archive, tmp_path):
    (tmp_path / "recordings").mkdir()
    assert archive("run") == (2, [], [NOTHING_THERE.format(tmp_path / "recordings")])
    (tmp_path / "recordings" / "holiday.wav").write_bytes(b"?")
    assert archive("run")[0] == archive("plan")[0] == 2


def test_a_disk_that_is_full_in_the_middle_is_status_1_and_one_that_is_full_before_status_2(archive, tmp_path):
    record_in_parts(tmp_path / "recordings", thuds(40), *range(1, 40))
    (tmp_path / "out").mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path / "out"), "-o"]
    if subprocess.run([*mount, "size=80k"], capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    try:
        status, lines, errors = archive("run", "--workers", "1")
        done = len(list((tmp_path / "out").rglob("*.parquet")))
        assert 1 <= done < 40
        assert (status, lines[0].startswith(f"done:     {done} recordings, ")) == (1, True)
        (error,) = errors
        assert error.startswith(f"edgeaudio: {_place(tmp_path)}: results cannot be written: No space left on device; ")
        assert error.endswith(f"; make room, then run again; {40 - done} recordings left")
        status, lines, errors = archive("run", "--workers", "1")
        assert (status, lines, len(errors)) == (2, [], 1)
        assert "No space left on device; make room, then run again" in errors[0]
        subprocess.run([*mount, "remount,size=2m"], check=True)
        assert archive("run", "--workers", "1")[0] == 0
        assert len([row for row in rows(tmp_path / "out") if row["kind"] == "recording"]) == 40
    finally:
        subprocess.run(["umount", "-l", tmp_path / "out"], check=True)


@pytest.mark.parametrize("done", [0, 2])
def test_a_run_that_another_machine_ends_is_status_1_if_something_was_done(done, archive, tmp_path, monkeypatch):
    def gone(work, jobs):
        yield from (work(job) for job in islice(jobs, done))
        raise EdgeaudioError("the scheduler of Dask is gone; start it")

    monkeypatch.setattr(dask_jobs, "on_dask", lambda *_: gone)
    record_in_parts(tmp_path / "recordings", thuds(5), 1, 2, 3, 4)
    (tmp_path / "recordings" / "holiday.wav").write_bytes(b"?")
    status, _, errors = archive("run", "--scheduler", "tcp://127.0.0.1:1")
    assert status == (1 if done else 2)
    assert errors[-1] == f"edgeaudio: the scheduler of Dask is gone; start it; {5 - done} recordings left"


def test_a_folder_of_results_that_is_removed_ends_the_run_and_is_not_made_again(archive, tmp_path, monkeypatch):
    def removed(work, jobs):
        yield work(next(jobs))
        (tmp_path / "out").rename(tmp_path / "elsewhere")
        yield from map(work, jobs)

    monkeypatch.setattr(dask_jobs, "on_dask", lambda *_: removed)
    record_in_parts(tmp_path / "recordings", thuds(3), 1, 2)
    status, _, (error,) = archive("run", "--scheduler", "tcp://127.0.0.1:1")
    assert status == 1
    assert error.endswith(
        "results cannot be written: No such file or directory; mend that, then run again; 2 recordings left"
    )
    assert not (tmp_path / "out").exists()


def test_a_part_to_which_no_recording_belongs_is_done(archive, tmp_path):
    record(tmp_path / "recordings", thuds(1))
    parts = [archive("run", "--workers", "1", "--shard", f"{index}/2") for index in range(2)]
    assert [(status, errors) for status, _, errors in parts] == [(0, []), (0, [])]
    done = sorted(lines[0].split(",")[0] for _, lines, _ in parts)
    assert done == ["done:     0 recordings", "done:     1 recording"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--zone", "-33:00"], "time zone '-33:00': no place has the UTC offset -33:00"),
        (["--zone", "Mars/North"], "time zone 'Mars/North' does not exist"),
        (["--begins", "gone.csv"], "gone.csv: cannot be read: No such file or directory"),
        (["--threshold", "whale=0.5"], "the model test has no label whale"),
        (["--model", "gone"], "model 'gone' is neither a directory nor one of the models here"),
        (["--out", "/dev/null/out"], "/dev/null/out: cannot be used for results: Not a directory"),
    ],
)
def test_wrong_options_are_one_line(arguments, line, archive, tmp_path):
    record(tmp_path / "recordings", thuds(1))
    status, lines, errors = archive("run", *arguments)
    assert (status, lines, len(errors)) == (2, [], 1)
    assert errors[0].startswith(f"edgeaudio: {line}")


def test_results_of_another_version_are_refused(archive, tmp_path):
    record(tmp_path / "recordings", thuds(1))
    archive("run", "--workers", "1")
    description = _place(tmp_path) / "place.json"
    description.write_text(json.dumps(json.loads(description.read_text()) | {"results": 99}))
    status, _, errors = archive("run")
    assert status == 2
    assert errors == [
        f"edgeaudio: {_place(tmp_path)}: its results are of version 99, and this edgeaudio has 2; name another --out"
    ]
    description.write_text("[" * 100_000)
    status, _, (error,) = archive("run")
    assert (status, error.startswith(f"edgeaudio: {_place(tmp_path)}: its results are of version no known one")) == (
        2,
        True,
    )


def test_a_table_tells_when_a_recording_begins(archive, tmp_path):
    record(tmp_path / "recordings", thuds(1)).rename(tmp_path / "recordings" / "holiday.wav")
    (tmp_path / "begins.csv").write_text("file,begins_at\nholiday.wav,2024-07-01T10:00:00+02:00\n")
    assert archive("run", "--workers", "1", "--begins", str(tmp_path / "begins.csv"))[0] == 0
    assert [f"{row['begins_at']:%Y-%m-%dT%H:%M:%S%z}" for row in rows(tmp_path / "out")] == ["2024-07-01T08:00:00+0000"]


def test_results_of_another_zone_are_refused_recording_by_recording(archive, tmp_path):
    record(tmp_path / "recordings", thuds(1))
    assert archive("run", "--workers", "1")[0] == 0
    before = rows(tmp_path / "out")
    record(tmp_path / "recordings", thuds(1), START + timedelta(days=1))
    line = (
        "20240131_120000.WAV: has a result of another beginning: give the --zone and --begins of that run, or name "
        "another --out"
    )
    status, lines, errors = archive("plan", "--zone", "+10:00")
    assert (status, errors) == (1, [f"edgeaudio: {line}"])
    assert "to do:    1 of 1 recording" in lines
    status, lines, _ = archive("run", "--zone", "+10:00", "--workers", "1")
    assert (status, lines[1:3]) == (1, ["left out: 1 recording", f"  {line}"])
    assert rows(tmp_path / "out")[: len(before)] == before
    assert archive("run", "--zone", "+10:00", "--out", str(tmp_path / "other"), "--workers", "1")[0] == 0


def test_a_failure_is_forgotten_once_a_whole_file_is_in_its_place(archive, tmp_path):
    whole = record(tmp_path / "recordings", thuds(1))
    bad = tmp_path / "recordings" / "20240131_130000.WAV"
    bad.write_bytes(b"")
    assert archive("run", "--workers", "1")[0] == 1
    bad.write_bytes(whole.read_bytes()[:50])  # another key
    assert archive("run", "--workers", "1")[0] == 1
    assert "failed:   1" in archive("status")[1]
    bad.write_bytes(whole.read_bytes())
    assert archive("run", "--workers", "1")[0] == 0
    status, lines, _ = archive("status")
    assert (status, lines[-1]) == (0, "failed:   0")


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_ended_is_gone_on_with(sent, status, archive, tmp_path, model):
    for minute in range(12):
        folder = tmp_path / "recordings" / str(minute)
        record(folder, thuds(300, (5, 6)))
    command = [sys.executable, "-m", "edgeaudio", "archive", "run", str(tmp_path / "recordings"), "--zone", "UTC"]
    options = ["--model", model, "--out", str(tmp_path / "out"), "--workers", "2"]
    with subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    ) as run:
        wait_until(lambda: next((tmp_path / "out").rglob("parts/*/*.parquet"), None), 60)
        if sent == signal.SIGINT:
            os.killpg(run.pid, sent)  # as a terminal does
        else:
            os.kill(run.pid, sent)
        _, errors = run.communicate()
    assert run.returncode == status
    assert "Traceback" not in errors
    done = len(list((tmp_path / "out").rglob("parts/*/*.parquet")))
    assert archive("run", "--workers", "2")[0] == 0
    found = [row for row in rows(tmp_path / "out") if row["kind"] == "recording"]
    assert Counter(row["recording"] for row in found) == {f"{n}/20240131_120000.WAV": 1 for n in range(12)}
    assert 1 <= done <= 12
    if sent == signal.SIGINT:
        assert list((tmp_path / "out").rglob("*.edgeaudio")) == []


def test_damaged_results_are_named_and_made_anew_once_they_are_removed(archive, tmp_path):
    record_in_parts(tmp_path / "recordings", thuds(30), 10, 20)
    assert archive("run", "--workers", "1")[0] == 0
    parts = sorted(_place(tmp_path).rglob("*.parquet"))
    parts[0].write_bytes(parts[0].read_bytes()[:-20])
    pq.write_table(pa.table({"x": [1]}), parts[1])
    os.mkfifo(parts[2].with_name("00112233445566778899aabbccddeeff.parquet"))  # opening it would wait for ever
    status, lines, _ = archive("status")
    assert (status, lines[1]) == (1, "done:     1 recording, 10.0 s")
    assert [line for line in lines if line.startswith("damaged:")] == [
        f"damaged:  {part}: remove it, and the next run does it again" for part in parts[:2]
    ]
    for part in parts[:2]:
        part.unlink()
    assert archive("run", "--workers", "1")[0] == archive("status")[0] == 0
    month = _place(tmp_path) / "months" / "2024-01.parquet"
    month.parent.mkdir()
    month.write_bytes(b"PAR1")
    status, _, (error,) = archive("run")
    assert (status, error.startswith(f"edgeaudio: {month}: is damaged: put it back")) == (2, True)


def test_status_opens_a_part_once_until_it_is_another_one(archive, tmp_path, monkeypatch):
    record_in_parts(tmp_path / "recordings", thuds(30), 10, 20)
    assert archive("run", "--workers", "1")[0] == 0
    opened = []
    opening = LocalFolder.open

    def noted(self, name):
        opened.append(name)
        return opening(self, name)

    monkeypatch.setattr(LocalFolder, "open", noted)
    first = archive("status")
    assert (first[0], first[1][1], len(opened)) == (0, "done:     3 recordings, 30.0 s", 3)
    opened.clear()
    assert (archive("status"), opened) == (first, [])
    part = next(_place(tmp_path).rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    for _ in range(2):  # a damaged one is never taken for known
        assert archive("status")[1][1] == "done:     2 recordings, 20.0 s"
    assert opened == [part.relative_to(_place(tmp_path)).as_posix()] * 2
    part.unlink()
    for content in (
        "[" * 100_000,
        '{"results": 1, "parts": {"x": [3]}}',
        '{"results": 1, "parts": {"x": [[1], {}]}}',
        "1",
    ):
        (_place(tmp_path) / "lengths.json").write_text(content)
        assert archive("status")[1][1] == "done:     2 recordings, 20.0 s"


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("pyarrow", ["plan", "recordings", "--out", "out"]),
        ("pyarrow", ["run", "recordings", "--out", "out"]),
        ("pyarrow", ["status", "--out", "out"]),
        ("duckdb", ["query", "out"]),
        ("duckdb", ["export", "out", "--format", "csv", "--to", "tables"]),
        ("duckdb", ["compact", "out"]),
        ("distributed", ["run", "recordings", "--out", "out", "--scheduler", "tcp://127.0.0.1:9"]),
    ],
)
def test_a_missing_extra_is_named(missing, arguments, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    assert cli.main(["archive", *arguments]) == 2
    assert capsys.readouterr().err == (f"edgeaudio: archive needs {missing}: {installing('archive')}\n")


def test_a_plan_of_nothing_but_what_is_left_out_ends_in_what_to_do(archive, tmp_path):
    (tmp_path / "recordings" / "deep").mkdir(parents=True)
    write_wave(tmp_path / "recordings" / "deep" / "20240131_120000.WAV", thuds(1), RATE)
    status, lines, errors = archive("plan", zone=None)
    assert (status, lines[0], len(errors)) == (2, "left out: 1 file", 1)
    assert lines[-1] == "to do:    nothing can be listened to yet; do what the lines above say, then plan again"


@pytest.mark.parametrize(("pattern", "deeper"), [("*.WAV", "**/*.WAV"), ("d*/*.W?V", "d*/**/*.W?V")])
def test_a_pattern_that_finds_nothing_is_told_the_one_that_does(archive, tmp_path, pattern, deeper):
    (tmp_path / "recordings" / "deep" / "er").mkdir(parents=True)
    write_wave(tmp_path / "recordings" / "deep" / "er" / "20240131_120000.WAV", thuds(1), RATE)
    for action in ("plan", "run"):
        line = f"no recordings there; there are some in folders below: '{tmp_path}/recordings/{deeper}'"
        status, _, errors = archive(action, folder=f"recordings/{pattern}")
        assert (status, errors) == (2, [f"edgeaudio: {tmp_path}/recordings/{pattern}: {line}"])
    _, _, errors = archive("plan", folder="recordings/*.flac")
    assert errors == [NOTHING_THERE.format(f"{tmp_path}/recordings/*.flac")]
