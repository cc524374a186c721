"""`edgeaudio picture`: a recording, or a part of it, as a picture in a file; what cannot be drawn is one line."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import PIL.Image
import pytest
from support.camera import Script, camera
from support.pictures import darkness, opened, plot_of
from support.wave_files import write_wave

from edgeaudio import cli
from edgeaudio.commands.picture import LIVE_S
from edgeaudio.commands.picture_parser import position
from edgeaudio.extras import installing
from edgeaudio.pictures.frequency_axis import Scale
from edgeaudio.pictures.options import PictureOptions
from edgeaudio.pictures.palettes import PaletteName

RATE = 8000
GREY = PictureOptions(palette="grey", image_format="png", width=400, height=240)
LOOK = ("--palette", "grey", "--size", "400x240")


@pytest.fixture
def scale(tmp_path) -> Path:
    """4 s: 500 Hz, 1000 Hz, 2000 Hz and 3000 Hz, a second each; the right channel is silent."""
    time_s = np.arange(RATE) / RATE
    left = np.concatenate([0.5 * np.sin(2 * np.pi * hz * time_s) for hz in (500, 1000, 2000, 3000)])
    return write_wave(tmp_path / "scale.wav", np.stack([left, np.zeros_like(left)], axis=1), RATE)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def names_here() -> list[str]:
    return [path.name for path in Path.cwd().iterdir()]


def picture_in(file: str | Path) -> PIL.Image.Image:
    return opened(Path(file).read_bytes())


def frequencies_hz(file: Path, *, scale: str = "linear") -> list[float]:
    """Return the loudest frequency at an eighth, three eighths ... of the time."""
    options = PictureOptions(palette="grey", width=400, height=240, scale=scale)  # type: ignore[arg-type]
    plot = darkness(plot_of(file.read_bytes(), options, RATE))
    loudest = [int(plot[:, round(plot.shape[1] * share)].argmax()) for share in (0.125, 0.375, 0.625, 0.875)]
    return [(row + 0.5) / len(plot) * RATE / 2 for row in loudest]


def test_a_recording_is_drawn_beside_nothing_else_in_this_directory(scale, tmp_path, capsys) -> None:
    (tmp_path / "here").mkdir()
    os.chdir(tmp_path / "here")
    assert cli.main(["picture", str(scale)]) == 0
    assert names_here() == ["scale.jpg"]
    assert picture_in("scale.jpg").size == (960, 480)
    assert capsys.readouterr().out.startswith("scale.jpg: 960x480 pixels, 4.0 s of sound, ")
    assert stat.S_IMODE(Path("scale.jpg").stat().st_mode) == 0o644


@pytest.mark.parametrize(("name", "image_format"), [("a.png", "PNG"), ("a.WebP", "WEBP"), ("a.jpeg", "JPEG")])
def test_the_name_gives_the_format(name: str, image_format: str, scale) -> None:
    assert cli.main(["picture", str(scale), "-o", name, *LOOK]) == 0
    assert picture_in(name).format == image_format
    assert frequencies_hz(Path(name)) == pytest.approx([500, 1000, 2000, 3000], abs=20)


def test_into_a_directory(scale, tmp_path) -> None:
    (tmp_path / "pictures").mkdir()
    assert cli.main(["picture", str(scale), "-o", "pictures"]) == 0
    assert (tmp_path / "pictures" / "scale.jpg").exists()


def test_a_part_of_a_recording_has_the_recordings_times(scale) -> None:
    assert cli.main(["picture", str(scale), "-o", "a.png", "--start", "0:02", "--length", "2", *LOOK]) == 0
    assert frequencies_hz(Path("a.png")) == pytest.approx([2000, 2000, 3000, 3000], abs=20)


def test_one_channel_is_drawn(scale, capsys) -> None:
    assert cli.main(["picture", str(scale), "-o", "a.png", "--channel", "1", *LOOK]) == 0
    assert frequencies_hz(Path("a.png")) == pytest.approx([500, 1000, 2000, 3000], abs=20)
    assert cli.main(["picture", str(scale), "-o", "b.png", "--channel", "2", *LOOK]) == 0
    assert darkness(plot_of(Path("b.png").read_bytes(), GREY, RATE))[:80].max() == 0
    assert cli.main(["picture", str(scale), "-o", "c.png", "--channel", "3"]) == 2
    assert "channel 3 is asked for, and the stream has 2" in capsys.readouterr().err
    assert not Path("c.png").exists()


def test_a_file_is_replaced_only_where_that_is_asked_for(scale, tmp_path, capsys) -> None:
    old = tmp_path / "a.png"
    old.write_text("mine")
    old.chmod(0o600)
    assert cli.main(["picture", str(scale), "-o", "a.png"]) == 2
    assert capsys.readouterr().err == "edgeaudio: a.png exists; replace it with --overwrite, or name another with -o\n"
    assert old.read_text() == "mine"
    assert cli.main(["picture", str(scale), "-o", "a.png", "--overwrite"]) == 0
    assert picture_in(old).format == "PNG"
    assert stat.S_IMODE(old.stat().st_mode) == 0o600


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_nothing_is_written_behind_a_link_to_nothing(overwrite: list[str], scale, capsys) -> None:
    Path("a.jpg").symlink_to("elsewhere.jpg")
    assert cli.main(["picture", str(scale), "-o", "a.jpg", *overwrite]) == 2
    error = capsys.readouterr().err
    assert error.startswith("edgeaudio: a.jpg is a symbolic link to nothing; remove it")
    assert sorted(names_here()) == ["a.jpg", "scale.wav"]


def test_a_mark_is_drawn(scale) -> None:
    look = ("--palette", "magma", "--size", "400x240", "--start", "1")
    assert cli.main(["picture", str(scale), "-o", "a.png", *look]) == 0
    assert cli.main(["picture", str(scale), "-o", "b.png", *look, "--mark", "<b>@me@0:02-3"]) == 0
    plain, marked = (np.asarray(picture_in(name).convert("RGB")).astype(int) for name in ("a.png", "b.png"))
    changed = np.flatnonzero(np.abs(marked - plain)[100:200].sum(axis=(0, 2)))
    plot = range(changed[0], changed[-1] + 1)
    assert len(changed) <= 4  # the two lines, of a second: a third of the plot
    assert len(plot) == pytest.approx(400 / 3, rel=0.3)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-o", "a.gif"], "a.gif: the end of its name gives the format: .jpg, .jpeg, .webp, .png"),
        (["-o", "a"], "a: the end of its name gives the format: .jpg, .jpeg, .webp, .png"),
        (["-o", f"{'x' * 300}.png"], "xxx.png: cannot be written: File name too long"),
        (["-o", "none/a.png"], "none: no such directory; make it first"),
        (["--size", "1x1"], "a picture of 1x1 pixels: a side has 64 to 8192, and the whole at most 8 million"),
        (
            ["--size", "100000x100000"],
            "a picture of 100000x100000 pixels: a side has 64 to 8192, and the whole at most 8 ",
        ),
        (["--start", "5"], "no sound from 00:05.00 on to draw; it ends at 00:04.00"),
        (["--length", "0"], "no sound from 00:00.00 on to draw; make --length longer"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(arguments: list[str], line: str, scale, capsys) -> None:
    assert cli.main(["picture", str(scale), *arguments]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert names_here() == ["scale.wav"]


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--size", "big"], ["--size", "0x-1"], ["--start", "-1"], ["--start", "1:2:3:4"], ["--length", "nan"]),
        *(["--mark", "dog"], ["--mark", "dog@5-4"], ["--gain", "1e9"], ["--range", "90"], ["--channel", "0"]),
        *(["--palette", "jet"], ["--scale", "bark"], ["--mark", "dog@1:2:3:4"]),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], scale, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["picture", str(scale), *arguments])
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_no_recording(tmp_path, capsys) -> None:
    (tmp_path / "text.wav").write_text("hello " * 99)
    for source in ("text.wav", "none.wav", "ftp://me:hunter2@host/x"):
        assert cli.main(["picture", source]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "hunter2" not in error


def test_what_was_read_of_a_damaged_recording_is_drawn(scale, tmp_path, capsys) -> None:
    content = scale.read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[: len(content) // 2])
    assert cli.main(["picture", "cut.wav"]) == 2
    shown = capsys.readouterr()
    assert shown.out.startswith("cut.jpg: 960x480 pixels, 2.0 s of sound")
    assert shown.err.count("\n") == 1


def test_a_full_disk_is_one_line(scale, capsys, monkeypatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgeaudio.commands.picture.replace_file", no_space)
    assert cli.main(["picture", str(scale), "-o", "a.png"]) == 2
    assert capsys.readouterr().err == "edgeaudio: a.png: cannot be written: No space left on device\n"


def test_of_a_pipe(scale, tmp_path) -> None:
    command = [sys.executable, "-m", "edgeaudio", "picture", "/dev/stdin"]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    with scale.open("rb") as content:
        sound = content.read()
    done = subprocess.run(command, input=sound, capture_output=True, timeout=60, check=False, env=environment)
    assert done.stdout.startswith(b"picture.jpg: 960x480 pixels, 4.0 s of sound")
    assert done.returncode == 0
    assert picture_in("picture.jpg").size == (960, 480)


def test_a_live_source_is_drawn_by_the_clock(tmp_path, capsys) -> None:
    with camera(Script()) as url:
        (tmp_path / "edgeaudio.toml").write_text(f'[sources.porch]\nurl = "{url}"\n')
        arguments = ["picture", "--config", "edgeaudio.toml", "porch", "--length", "1", *LOOK]
        assert cli.main(arguments) == 0
    assert capsys.readouterr().out.startswith("porch.jpg: 400x240 pixels, 1.0 s of sound")
    plot = darkness(plot_of((tmp_path / "porch.jpg").read_bytes(), GREY, 16_000))
    assert plot[:, 50].argmax() / len(plot) == pytest.approx(1 / 8, abs=0.02)  # the camera's tone of 1 kHz


def test_without_pillow_one_line_names_the_extra(scale, tmp_path) -> None:
    program = "import sys; sys.modules['PIL'] = None; from edgeaudio import cli; sys.exit(cli.main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    command = [sys.executable, "-c", program, "picture", str(scale)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("edgeaudio: pictures need Pillow (")
    assert done.stderr.endswith(f"): {installing('pictures')}\n")
    assert done.stderr.count("\n") == 1


def test_positions() -> None:
    assert [position(text) for text in ("0", "90.5", "1:30", "2:00:01.25", "100:00")] == [0, 90.5, 90, 7201.25, 6000]


def test_the_options_are_those_that_pictures_have() -> None:
    choices = {action.dest: action.choices for action in picture_parser()._actions}
    assert choices["palette"] == get_args(PaletteName)
    assert choices["scale"] == get_args(Scale)
    assert f"{LIVE_S:g} s of a live stream" in " ".join(picture_parser().format_help().split())


def picture_parser():
    for action in cli.parser()._actions:
        if isinstance(action.choices, dict):
            return action.choices["picture"]
    raise AssertionError
