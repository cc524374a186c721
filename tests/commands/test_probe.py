"""`edgeaudio probe`: tracks, level and a picture of a recording."""

import contextlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from support.wave_files import write_wave

from edgeaudio import cli


def edgeaudio(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeaudio", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def test_probe_shows_tracks_level_and_a_picture(tmp_path, capsys) -> None:
    time_s = np.arange(8000 * 3) / 8000
    path = write_wave(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 1000 * time_s), 8000)
    assert cli.main(["probe", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        f"source     {path}",
        "container  wav",
        "length     00:03.00",
        "track 0    audio, pcm_s16le, 8000 Hz, 1 channel, heard",
        "heard      3.0 s",
        "level      RMS -9.0 dBFS, peak -6.0 dBFS",
    ]
    assert [line.split(" |")[0].strip() for line in lines if "████" in line] == ["978 Hz"]  # 844 to 1134 Hz


@pytest.mark.parametrize("length_s", [9, 150])
def test_probe_draws_all_of_a_recording_as_wide_as_the_terminal(length_s: int, tmp_path, monkeypatch, capsys) -> None:
    time_s = np.arange(2000 * length_s) / 2000
    tone = np.where(time_s >= length_s * 2 / 3, 0.5 * np.sin(2 * np.pi * 500 * time_s), 0) + 0.25
    path = write_wave(tmp_path / "tone.wav", tone, 2000)
    monkeypatch.setattr("edgeaudio.commands.probe.width_of", lambda _: 100)
    assert cli.main(["probe", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    # a tone at half of full scale for a third of the time, and DC, which does not count
    assert f"heard      {length_s}.0 s" in lines
    assert any(line.startswith("level      RMS -13.8 dBFS, peak -6") for line in lines)
    picture = [line for line in lines if " |" in line]
    assert {len(line) for line in picture} == {100}
    loudest = max(picture, key=lambda line: line.count("█"))
    drawn = loudest.partition(" |")[2]
    assert drawn.index("█") / len(drawn) == pytest.approx(2 / 3, abs=0.03)
    assert lines[-2].split() == ["0", f"{length_s // 60:02d}:{length_s % 60:02d}.00"]
    assert len(lines[-2]) == 100
    assert cli.main(["probe", "--seconds", "1", str(path)]) == 0
    assert "heard      1.0 s" in capsys.readouterr().out


def test_probe_of_a_pipe_has_an_end(tmp_path) -> None:
    head = write_wave(tmp_path / "head.wav", np.zeros(0), 2000).read_bytes()[:40] + b"\xff\xff\xff\x7f"
    with subprocess.Popen(
        [sys.executable, "-m", "edgeaudio", "probe", "/dev/stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(head)
            while True:  # sound without end
                process.stdin.write(bytes(4000))
        shown = process.stdout.read().decode()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    assert process.returncode == 0
    assert re.search(r"^heard      [56]\.\d s$", shown, re.MULTILINE)


def test_probe_of_ascii_terminals(tmp_path) -> None:
    path = write_wave(tmp_path / "noise.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 8000), 8000)
    done = edgeaudio("probe", str(path), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "####" in done.stdout


def test_probe_as_json(tmp_path, capsys) -> None:
    path = write_wave(tmp_path / "silence.wav", np.zeros(8000), 8000)
    assert cli.main(["probe", "--json", "--seconds", "0.5", str(path)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["codec"], facts["sample_rate"], facts["channels"], facts["duration_s"]) == ("pcm_s16le", 8000, 1, 1)
    assert (facts["rms_dbfs"], facts["peak_dbfs"]) == (None, None)
    assert 0.5 <= facts["heard_s"] < 0.8
    assert facts["tracks"][0]["kind"] == "audio"


def test_probe_of_silence_and_of_almost_nothing(tmp_path, capsys) -> None:
    assert cli.main(["probe", str(write_wave(tmp_path / "silence.wav", np.zeros(8000), 8000))]) == 0
    text = capsys.readouterr().out
    assert "RMS silence, peak silence" in text
    assert "(nothing but digital silence)" in text
    assert cli.main(["probe", str(write_wave(tmp_path / "short.wav", np.ones(20) / 2, 8000))]) == 0
    assert "|" not in capsys.readouterr().out


def test_probe_of_what_cannot_be_opened(tmp_path, capsys) -> None:
    (tmp_path / "text.wav").write_text("hello " * 99)
    assert cli.main(["probe", str(tmp_path / "text.wav")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["probe", "ftp://me:hunter2@host/x"]) == 2
    assert "hunter2" not in capsys.readouterr().err


def test_files_with_an_at_in_their_names_are_no_logins(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write_wave(tmp_path / "a:b@c.wav", np.zeros(8000), 8000)
    for name in ("a:b@c.wav", "./a:b@c.wav", str(tmp_path / "a:b@c.wav")):
        assert cli.main(["probe", "--json", "--seconds", "0.5", name]) == (2 if name == "a:b@c.wav" else 0)
    assert "./NAME" in capsys.readouterr().err
