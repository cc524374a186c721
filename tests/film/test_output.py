"""Targets of a film: which are refused, in which words, and what stays on the disk."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.film_clicks import feed, seen_in
from support.waiting import wait_until

from edgeaudio.film.output import FilmError, FilmFormat, open_output

FORM = FilmFormat(160, 96, 15, 16_000, 1)
TESTS = Path(__file__).parents[1]
SCRIPT = """
import sys
from support.film_clicks import feed
from edgeaudio.film.output import FilmError, FilmFormat, open_output
form = FilmFormat(160, 96, 15, 16_000, 1)
output = open_output(sys.argv[1], form)
try:
    feed(output, form, range(int(sys.argv[2])))
    output.close()
except FilmError as error:
    output.close()
    sys.exit(str(error))
"""


def start(path: Path, seconds: int, most_bytes: int | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(path), str(seconds)]
    process = subprocess.Popen(
        command, cwd=TESTS, stderr=subprocess.PIPE, text=True, env={"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    )
    if most_bytes is not None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    return process


@pytest.mark.parametrize("name", ["film.mkv", "film.MP4"])
def test_a_file_is_written_by_its_name(tmp_path, name):
    output = open_output(str(tmp_path / name), FORM)
    feed(output, FORM, range(2))
    output.close()
    assert max(map(abs, seen_in(tmp_path / name).apart_s())) < 0.005
    with pytest.raises(FilmError, match="exists; replace it with --overwrite"):
        open_output(str(tmp_path / name), FORM)
    open_output(str(tmp_path / name), FORM, overwrite=True).close()


@pytest.mark.parametrize(
    ("target", "audio", "words"),
    [
        ("film.avi", None, "the end of a film's name gives its format: .mkv"),
        ("/nowhere/film.mkv", None, "/nowhere/film.mkv cannot be written: No such file or directory"),
        ("http://host/film", None, "a film goes to a file, or to rtsp://"),
        ("rtsp://a@b@host/film", None, "percent-encode"),
        ("rtsp:///film", None, "has no host"),
        ("rtmp://host/film", None, "an application and a stream, as in rtmp://host/live/film"),
        ("rtsp://name:hunter2@host/film", "flac", "rtsp://name:***@host/film: a server takes AAC, and no FLAC"),
        ("rtmps://name:hunter2@host/live/film", None, "a film cannot go by RTMPS"),
        ("rtmp://host/live/film", "flac", "a server takes AAC, and no FLAC"),
    ],
)
def test_a_target_that_cannot_be_is_refused_in_a_line(target, audio, words):
    with pytest.raises(FilmError) as refused:
        open_output(target, FORM, audio=audio)
    assert words in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_a_file_leaves_out_of_the_sound_is_said(tmp_path, caplog):
    form = FilmFormat(160, 96, 15, 192_000, 4)
    open_output(str(tmp_path / "film.mp4"), form).close()
    assert "sound above 24 kHz is left out and the 4 channels are heard as their mean" in caplog.text
    assert "write a .mkv file with FLAC" in caplog.text


def test_no_file_is_left_where_the_film_cannot_be_encoded(tmp_path):
    with pytest.raises(FilmError, match="choose 50000"):
        open_output(str(tmp_path / "film.mkv"), FORM, bit_rate=1)
    assert not list(tmp_path.iterdir())


def test_killed_at_any_moment_it_leaves_a_film_that_plays(tmp_path):
    film = tmp_path / "film.mkv"
    process = start(film, 3600)
    try:
        wait_until(lambda: film.exists() and film.stat().st_size > 100_000, 20)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
    seen = seen_in(film)
    assert len(seen.flashes) > 5
    assert max(map(abs, seen.apart_s())) < 0.005


def test_a_disk_that_is_full_ends_it_in_a_line_and_what_was_written_plays(tmp_path):
    film = tmp_path / "film.mkv"
    process = start(film, 3600, most_bytes=60_000)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert error == f"{film} cannot be written: File too large; what was written before plays\n"
    seen = seen_in(film)
    assert len(seen.flashes) > 3
    assert max(map(abs, seen.apart_s())) < 0.005
