"""What is seen of a run: how far each recording has come, the time left, and few lines on what is left out."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from support.archive_work import kill_or_report
from support.archives import jobs, record, thuds

from edgeaudio.archive import advance as advances
from edgeaudio.archive.advance import Advance, listen
from edgeaudio.archive.hearing import Hearing
from edgeaudio.archive.job import Job, Outcome, run_job
from edgeaudio.archive.local_runner import run_locally
from edgeaudio.archive.recordings import LeftOut
from edgeaudio.archive.runs import Backlog, Counts
from edgeaudio.commands.archive import run_progress
from edgeaudio.commands.archive.left_out import NAMED, LeftOutLines
from edgeaudio.commands.archive.run_progress import Progress


def job(name, out, size_bytes=7):
    return Job(f"key-{name}", name, name, size_bytes, 0, datetime(2024, 1, 1, tzinfo=UTC), Hearing("none"), str(out))


@pytest.mark.integration  # starts a process
def test_the_caller_sees_how_far_a_recording_has_come(tmp_path):
    seen = []

    def show(running):
        if running:
            seen.append(running)
            (tmp_path / "go").touch()

    (outcome,) = run_locally(kill_or_report, [job("half", tmp_path)], workers=1, show=show)
    assert outcome.error is None
    assert {key: (each.recording, at) for key, (each, at) in seen[0].items()} == {
        "key-half": ("half", Advance(30.0, 0.5))
    }
    assert "key-half" not in seen[-1] or len(seen) == 1


def test_a_job_tells_the_seconds_done_and_their_share_of_the_recording(model, tmp_path, monkeypatch):
    record(tmp_path / "recordings", thuds(40))
    monkeypatch.setattr(advances, "EVERY_S", 0.0)
    told: list[Advance] = []
    (wanted,) = jobs(tmp_path / "recordings", model, tmp_path / "out")
    listen(told.append)
    try:
        assert run_job(wanted).error is None
    finally:
        monkeypatch.setattr(advances._Listener, "tell", None)
    assert [at.heard_s for at in told] == pytest.approx([10, 20, 30, 40], abs=2)
    assert [at.share for at in told] == pytest.approx([at.heard_s / 40 for at in told])


@pytest.fixture
def drawn(monkeypatch):
    """Return the lines that are drawn on a terminal of 100 columns; a line each call, whose clock is `at_s`."""
    lines: list[str] = []
    monkeypatch.setattr(run_progress, "on_terminal", lambda _: True)
    monkeypatch.setattr(run_progress, "width_of", lambda _: 101)
    monkeypatch.setattr(run_progress, "redraw", lines.append)
    return lines


def test_the_time_left_is_that_of_what_runs_too(drawn, monkeypatch, tmp_path):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    counts = Counts(lambda _: None)
    progress = Progress(Backlog(2, 1000, 2), counts)
    clock[0] += 10
    long = job("long", tmp_path, 600)
    progress.running({long.key: (long, Advance(1800.0, 0.5))})  # which took 10 s, with the start of a process
    assert drawn[-1].split()[1:] == ["30%", "0/2", "180", "s/s"]
    clock[0] += 10
    progress.running({long.key: (long, Advance(2520.0, 0.7))})
    assert drawn[-1].split()[1:] == ["42%", "00:48", "left", "0/2", "126", "s/s"]  # 580 bytes, 12 a second
    clock[0] += 0.1
    progress.running({long.key: (long, Advance(2530.0, 0.71))})  # too soon to be seen
    assert len(drawn) == 2
    clock[0] += 9.9
    counts.ended, counts.heard_s = 1, 3600.0
    progress.ended(Outcome(long.key, "long", 600, 3600.0))  # which counts once
    assert drawn[-1].split()[1:] == ["60%", "00:26", "left", "1/2", "120", "s/s"]


def test_reasons_of_many_kinds_are_few_lines_too(capsys):
    with LeftOutLines() as lines:
        for index in range(3 * NAMED):
            lines.tell(LeftOut(f"{index}.wav", "a" * (index + 1)))
        lines.tell(LeftOut("last.wav", "a"))
        lines.print_all("recording")
    out, err = capsys.readouterr()
    assert err.splitlines() == [f"edgeaudio: {index}.wav: {'a' * (index + 1)}" for index in range(NAMED)]
    assert out.splitlines()[:3] == ["left out: 31 recordings", "  0.wav: a (and 1 more like it)", "  1.wav: aa"]
    assert out.splitlines()[NAMED + 1 :] == ["  and 20 more, for other reasons"]
