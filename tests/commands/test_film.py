"""`edgeaudio film`: a recording or a live source as a film in a file; what cannot be made is one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.camera import PACKET, Packet, Script, camera
from support.films import Decoded, PlotView, decoded
from support.ports import free_port
from support.tflite import without_runtime_line
from support.waiting import wait_until
from support.wave_files import write_wave

from edgeaudio import cli
from edgeaudio.commands import film_settings
from edgeaudio.pictures.film_options import FilmLook
from edgeaudio.recognise.bundled_models import DEFAULT_MODEL
from edgeaudio.settings import load_settings

RATE = 16_000
SIZE = ("--size", "320x180", "--fps", "15", "--palette", "grey", "--range", "80", "--seconds", "4")
PLAIN = (*SIZE, "--no-detections")
LOOK = FilmLook(width=320, height=180, frame_rate=15, palette="grey", range_db=80.0, seconds=4.0, has_marks=False)
VIEW = PlotView(LOOK, RATE)


@pytest.fixture
def sweep(tmp_path) -> Path:
    """5 s of a tone that begins at 500 Hz and rises by 1 kHz each second; the right channel is silent."""
    time_s = np.arange(5 * RATE) / RATE
    left = 0.5 * np.sin(2 * np.pi * (500 * time_s + 500 * time_s**2))
    return write_wave(tmp_path / "sweep.wav", np.stack([left, np.zeros_like(left)], axis=1), RATE)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def assert_sweep(film: Decoded, *, begin_s: float = 0.0) -> None:
    """The tone is where it was, in some pictures and places of them."""
    for at_s in (0.5, 1.0, 1.8):
        for before_s in (0.1, 0.3):
            expected_hz = 500 + 1000 * (begin_s + round(at_s * 15) / 15 - before_s)
            assert VIEW.loudest_hz(film.at(at_s), before_s) == pytest.approx(expected_hz, abs=120)


def test_a_recording_becomes_a_film_beside_nothing_else_in_this_directory(sweep, tmp_path, capsys) -> None:
    (tmp_path / "here").mkdir()
    os.chdir(tmp_path / "here")
    assert cli.main(["film", str(sweep), *PLAIN]) == 0
    assert [path.name for path in Path.cwd().iterdir()] == ["sweep.mkv"]
    assert capsys.readouterr().out.startswith("sweep.mkv: 320x180 pixels, 5.0 s, ")
    film = decoded(Path("sweep.mkv"))
    assert film.codecs == ("h264", "flac")
    assert list(film.pictures) == pytest.approx(np.arange(75) / 15, abs=1e-3)  # Matroska counts milliseconds
    assert film.pictures[0.0].shape == (180, 320)
    assert (film.sample_rate, film.sound.shape) == (RATE, (5 * RATE, 2))
    tone = 0.5 * np.sin(2 * np.pi * (500 * np.arange(RATE) / RATE + 500 * (np.arange(RATE) / RATE) ** 2))
    assert film.sound[:RATE, 0] == pytest.approx(tone, abs=1e-3)
    assert_sweep(film)


def test_a_part_with_other_colours_axes_and_sound_in_mp4(sweep, capsys) -> None:
    options = ("--start", "1", "--length", "0:02", "--channel", "1", "--audio", "aac", "--bit-rate", "400000")
    assert cli.main(["film", str(sweep), "-o", "part.mp4", *PLAIN, *options]) == 0
    film = decoded(Path("part.mp4"))
    assert film.codecs == ("h264", "aac")
    assert len(film.pictures) == 30
    assert film.sound.shape[1] == 1
    assert_sweep(film, begin_s=1.0)
    assert "part.mp4: 320x180 pixels, 2.0 s, " in capsys.readouterr().out


@pytest.mark.parametrize("size", ["128x4096", "4096x128"])
def test_a_side_may_have_all_that_the_help_says(size, sweep) -> None:
    assert cli.main(["film", str(sweep), "-o", "a.mkv", "--no-detections", "--size", size, "--length", "0.1"]) == 0
    (picture, *_) = decoded(Path("a.mkv")).pictures.values()
    assert "x".join(map(str, picture.shape[::-1])) == size


@pytest.mark.parametrize("look", [("--scale", "log"), ("--scale", "mel", "--low-hz", "300", "--high-hz", "6000")])
def test_a_scale_and_a_band_can_be_chosen(look: tuple[str, ...], sweep) -> None:
    assert cli.main(["film", str(sweep), "-o", "a.mkv", *PLAIN, *look, "--length", "3"]) == 0
    low_hz, high_hz = (300.0, 6000.0) if "mel" in look else (None, None)
    chosen = replace(LOOK, scale="mel" if "mel" in look else "log", low_hz=low_hz, high_hz=high_hz)
    view = PlotView(chosen, RATE)
    assert view.loudest_hz(decoded(Path("a.mkv")).at(2.0), 0.2) == pytest.approx(2300, rel=0.08)


def test_detections_are_drawn_where_they_were(thuds, model, capsys) -> None:
    """The test model hears something from 0.5 s to 1.0 s."""
    assert cli.main(["film", str(thuds), "-o", "a.mkv", *SIZE, "--model", model]) == 0
    assert cli.main(["film", str(thuds), "-o", "b.mkv", *PLAIN]) == 0
    capsys.readouterr()
    view = PlotView(FilmLook(320, 180, 15, 4.0, "grey", range_db=80.0), 1200)
    last = decoded(Path("a.mkv")).at(1.95)
    assert cli.main(["score", "--events", "--model", model, str(thuds)]) == 0
    onsets = [line for line in capsys.readouterr().out.splitlines() if "onset" in line]
    begin_s = float(onsets[0].split()[0].removeprefix("00:"))
    bars = np.flatnonzero(view.lanes(last)[-2:].mean(axis=0) < 180)
    assert view.time_of(bars[0], 29 / 15) == pytest.approx(begin_s, abs=0.06)
    assert decoded(Path("b.mkv")).at(1.95).shape == last.shape


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--length", "0"], "--length 0: a film of nothing; leave it out to film all"),
        (["-o", ""], "--out is empty; name a file, a directory or a server, or leave it out"),
        (["-o", "a.avi"], "a.avi: the end of its name gives the format: .mkv, "),
        (["-o", "none/a.mkv"], "none: no such directory; make it first"),
        (["-o", f"{'x' * 300}.mkv"], "cannot be written: File name too long"),
        (["-o", "sweep.mkv", "--size", "321x180"], "a film of 321x180 pixels: both sides must be even"),
        (["--size", "10x10"], "a film of 10x10 pixels: a side has 128 to 4096"),
        (["--size", "big"], "big is no size: width and height in pixels"),
        (["--fps", "5"], "5 is not a whole number from 15 to 60"),
        (["--seconds", "0"], "0 is not a number from 1 to 3600"),
        (["--aspect", "16x9"], "16x9 is no form: width and height, as in 16:9"),
        (["--aspect", "100:1"], "an aspect of 100: it is from"),
        (["--low-hz", "7000", "--high-hz", "100"], "the band is empty or too narrow; this sound has 0 to 8000 Hz"),
        (["--start", "9"], "no sound from 00:09.00 on to make a film of; it ends at 00:05.00"),
        (["--channel", "3"], "channel 3 is asked for, and the stream has 2"),
        (["--model", "nowhere"], "nowhere"),
        (["-o", "http://127.0.0.1/a"], "http://127.0.0.1/a: a film goes to a file, or to rtsp://, rtsps://, rtmp://"),
        (["-o", "rtsp://127.0.0.1/a", "--audio", "flac"], "a server takes AAC, and no FLAC"),
        (["-o", "@nowhere.txt"], "nowhere.txt: "),
        (["-o", "@words.txt"], "@words.txt: this file holds no address of a server"),
    ],
)
def test_what_cannot_be_made_is_one_line(arguments: list[str], line: str, sweep, capfd) -> None:
    Path("words.txt").write_text("good morning\n")
    files = sorted(Path.cwd().iterdir())
    usual = () if "--model" in arguments else ("--no-detections",)
    try:
        status = cli.main(["film", str(sweep), *usual, *arguments])
    except SystemExit as error:
        status = int(str(error.code))
    assert status == 2
    errors = without_runtime_line(capfd.readouterr().err)
    assert line in errors
    assert errors.count("\n") == 1
    assert sorted(Path.cwd().iterdir()) == files


def test_a_file_is_replaced_only_where_that_is_asked_for(sweep, capsys) -> None:
    Path("a.mkv").write_text("mine")
    assert cli.main(["film", str(sweep), "-o", "a.mkv", *PLAIN]) == 2
    assert capsys.readouterr().err == "edgeaudio: a.mkv exists; replace it with --overwrite, or name another with -o\n"
    assert Path("a.mkv").read_text() == "mine"
    assert cli.main(["film", str(sweep), "-o", "a.mkv", "--overwrite", "--length", "1", *PLAIN]) == 0
    assert len(decoded(Path("a.mkv")).pictures) == 15
    before = Path("a.mkv").read_bytes()
    assert cli.main(["film", "a.mkv", "-o", "a.mkv", "--overwrite", *PLAIN]) == 2
    assert "a.mkv is the recording itself" in capsys.readouterr().err
    assert Path("a.mkv").read_bytes() == before


@pytest.mark.parametrize("address", ["rtsp://me:hunter2@127.0.0.1/a", "rtmp://127.0.0.1/live/x7Kq-93hZ-pL2m-8RtY"])
def test_a_login_or_a_key_on_the_command_line_is_refused_and_not_shown(address: str, sweep, capsys) -> None:
    assert cli.main(["film", str(sweep), "-o", address, *PLAIN]) == 2
    error = capsys.readouterr().err
    assert "give the file's name after an @" in error
    assert "hunter2" not in error
    assert "x7Kq" not in error


def test_an_address_in_a_file_is_used_and_its_secrets_are_not_shown(sweep) -> None:
    Path("address.txt").write_text("rtmp://me:hunter2@127.0.0.1:1/live/x7Kq-93hZ-pL2m-8RtY\n")
    command = [sys.executable, "-m", "edgeaudio", "film", str(sweep), "-o", "@address.txt", "--length", "0.5", *PLAIN]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stdout) == (2, ""), run.stderr
    last = "edgeaudio: rtmp://me:***@127.0.0.1:1/live/***: nothing of the 0.5 s was sent: no server took the film\n"
    assert run.stderr.endswith(last)
    assert "hunter2" not in run.stderr
    assert "x7Kq" not in run.stderr


def test_a_live_source_has_no_beginning_to_start_at(capsys) -> None:
    assert cli.main(["film", "rtsp://127.0.0.1:1/a", "-o", "a.mkv", "--start", "5", *PLAIN]) == 2
    assert capsys.readouterr().err == "edgeaudio: rtsp://127.0.0.1:1/a is live: --start is for recordings\n"


def test_what_was_made_before_a_recording_broke_off_is_kept(sweep, capsys) -> None:
    content = sweep.read_bytes()
    Path("cut.wav").write_bytes(content[: len(content) // 2])
    assert cli.main(["film", "cut.wav", "-o", "a.mkv", *PLAIN]) == 2
    output = capsys.readouterr()
    assert "a.mkv: 320x180 pixels, 2.5 s" in output.out
    assert "cut.wav" in output.err
    assert len(decoded(Path("a.mkv")).pictures) == 37 + 1


def bursts() -> Iterator[Packet]:
    """0.1 s of a tone, each 0.5 s."""
    tone = (0.5 * 32767 * np.sin(2 * np.pi * 2000 * np.arange(PACKET) / RATE)).astype(">i2").tobytes()
    for index in range(10**9):
        yield Packet(index * PACKET, tone if index % 25 < 5 else bytes(2 * PACKET))


def begins(loud: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.flatnonzero(np.diff(loud.astype(int), prepend=0) == 1)


def test_a_live_source_that_is_lost_is_a_gap_and_sound_and_picture_stay_together() -> None:
    port = free_port()
    command = [sys.executable, "-m", "edgeaudio", "film", f"rtsp://127.0.0.1:{port}/camera", "-o", "live.mkv", *PLAIN]
    log = Path("log.txt")
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            # the source is not there yet
            wait_until(lambda: "nothing listens on" in log.read_text(), 30)
            with camera(Script(packets=bursts), port=port):
                wait_until(lambda: Path("live.mkv").exists(), 30)
                time.sleep(1.5)
            wait_until(lambda: "the stream ended" in log.read_text(), 30)
            with camera(Script(packets=bursts), port=port):
                wait_until(lambda: log.read_text().count("heard again") == 2, 30)
                time.sleep(2.0)
                process.send_signal(signal.SIGTERM)
                out, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0, log.read_text()
    assert out.startswith("live.mkv: 320x180 pixels, ")
    assert "without sound for " in out
    film = decoded(Path("live.mkv"))
    last_s = max(film.pictures)
    plot = VIEW.plot(film.pictures[last_s])
    gap = np.flatnonzero((plot.min(axis=0) >= 10) & (plot.max(axis=0) <= 70) & (plot.std(axis=0) > 3))
    assert len(gap) > 0.4 / 4 * plot.shape[1]
    tone_row = round(float(VIEW.axis.place(2000)) * len(plot))
    seen_s = [VIEW.time_of(column, last_s) for column in begins(plot[tone_row - 1 : tone_row + 2].max(axis=0) > 170)]
    power = np.sqrt(np.convolve(film.sound[:, 0] ** 2, np.ones(80) / 80, "same"))
    heard_s = begins(power > 0.1) / RATE
    after_s = VIEW.time_of(gap[-1] + 2, last_s)
    apart_s = [float(np.abs(heard_s - at_s).min()) for at_s in seen_s if at_s > after_s]
    assert len(apart_s) >= 2
    assert max(apart_s) <= 0.03  # a column is 0.015 s here, and a window reaches 0.016 s into what follows


def test_ctrl_c_leaves_a_film_that_plays() -> None:
    write_wave(Path("long.wav"), np.zeros(900 * 8000, np.float32), 8000)
    command = [sys.executable, "-m", "edgeaudio", "film", "long.wav", "-o", "a.mkv", *PLAIN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: Path("a.mkv").exists() and Path("a.mkv").stat().st_size > 20_000, 30)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130, errors
    assert out.startswith("a.mkv: 320x180 pixels, ")
    assert len(decoded(Path("a.mkv")).pictures) > 15


def test_a_film_without_settings_or_models_does_without_their_libraries(sweep, monkeypatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("EDGEAUDIO_")]:
        monkeypatch.delenv(name)
    program = (
        "import sys; from edgeaudio import cli; status = cli.main(sys.argv[1:]); "
        "print(status, *{name.partition('.')[0] for name in sys.modules})"
    )
    command = [sys.executable, "-c", program, "film", str(sweep), "-o", "a.mkv", *PLAIN, "--length", "0.5"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    status, *loaded = run.stdout.splitlines()[-1].split()
    assert status == "0"
    assert "av" in loaded
    assert {"pydantic", "pydantic_settings", "asyncio", "paho", "ai_edge_litert"}.isdisjoint(loaded)


def test_without_settings_all_is_as_with_their_defaults() -> None:
    settings = load_settings()
    assert settings.log_level == film_settings.DEFAULT_LOG_LEVEL
    assert list(settings.models) == [DEFAULT_MODEL]
    (own,), (usual,) = film_settings.chosen_models(None, (), None), film_settings.chosen_models(settings, (), None)
    assert own.model.manifest == usual.model.manifest
    assert (own.period_s, own.labels) == (usual.period_s, usual.labels)
    assert not own.thresholds
    assert not usual.thresholds
