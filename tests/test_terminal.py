"""What commands print, onto whatever standard output and error are, in processes of their own; terminals are ptys."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.terminals import terminal
from support.tflite import content_of, model_directory, without_runtime_line

from edgeaudio.terminal import (
    discard_output,
    flush_output,
    one_line,
    print_error,
    print_out,
    printable,
    redraw,
    takes_colours,
    width_of,
)

EDGEAUDIO = [sys.executable, "-m", "edgeaudio"]
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31mred\x7f\u202egnol"


def run(*arguments: str | bytes, closing: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command from a shell; `closing` is what it does with the standard streams."""
    command = ["/bin/sh", "-c", f'exec "$@" {closing}', "sh", *EDGEAUDIO, *arguments]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EDGEAUDIO_")}
    return subprocess.run(command, capture_output=True, check=False, timeout=60, env={**environ, **environment})


def on_a_terminal(*arguments: str, width: int = 80, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints on a terminal."""
    with terminal([*EDGEAUDIO, *arguments], width=width, environment=environment) as user:
        return user.rest()


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    assert printable("a\tb\nc") == "a\tb\nc"
    assert printable("\x1b[31m\x9b\x7f\r\u202e\udcff") == "\\u001b[31m\\u009b\\u007f\\u000d\\u202e\\udcff"
    assert one_line("a\tb\nc\x1b") == "a\\tb\\nc\\u001b"
    for text in ("Hund 犬 🐕", "naïve “yes”"):
        assert printable(text) == text
    assert json.loads(printable(json.dumps({"label": HOSTILE}, ensure_ascii=False))) == {"label": HOSTILE}


# each way to take nothing with one command; argparse, which prints help and version itself, with the first
@pytest.mark.parametrize(
    ("command", "closing", "line"),
    [
        (command, closing, line)
        for closing, line in {
            ">/dev/full": "edgeaudio: standard output: cannot be written: No space left on device\n",
            ">&-": "edgeaudio: standard output is closed; to do without it, write >/dev/null\n",
            ">&- 2>&-": "",
            ">/dev/full 2>/dev/full": "",
        }.items()
        for command in (["check", "--example"], ["--help"], ["--version"], ["score", "--help"])
        if command[0] == "check" or closing == ">/dev/full"
    ],
)
def test_standard_output_that_takes_nothing_is_one_line(command: list[str], closing: str, line: str) -> None:
    done = run(*command, closing=closing)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", line)


@pytest.mark.parametrize("closing", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_standard_error_that_takes_nothing_costs_the_words_alone(closing: str, tmp_path: Path) -> None:
    assert run("check", "--config", str(tmp_path / "gone"), closing=closing).returncode == 2
    assert run("nope", closing=closing).returncode == 2


def test_no_file_gets_the_number_of_a_closed_stream() -> None:
    script = (
        "from edgeaudio.terminal import occupy_descriptors\nimport os\n"
        "occupy_descriptors()\nopen(3, 'w').write(str(os.open('/dev/null', os.O_RDONLY)))\n"
    )
    command = ["/bin/sh", "-c", 'exec "$@" 3>&1 <&- >&- 2>&-', "sh", sys.executable, "-c", script]
    assert int(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout) > 2


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
def test_characters_that_the_encoding_lacks_are_escaped(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "edgeaudio.toml"
    path.write_text('[models.home]\ngroups."Hund 犬" = ["dog"]\n', encoding="utf-8")
    done = run("check", "--print", "--config", str(path), **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Hund 犬" in done.stdout.decode() or b"Hund \\u72ac" in done.stdout
    gone = run("probe", "犬\udcff.wav".encode(errors="surrogateescape"), **environment)
    assert (gone.returncode, gone.stderr.count(b"\n")) == (2, 1)
    assert b"no such file" in gone.stderr


def hostile_model(folder: Path) -> Path:
    """A `.tflite` file with labels packed in it that are commands to a terminal."""
    packed = io.BytesIO(content_of("waveform"))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("labels.txt", f"{HOSTILE}\nsecond\nthird\n")
    path = folder / "hostile.tflite"
    path.write_bytes(packed.getvalue())
    return path


def is_plain(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


def test_packed_labels_do_not_command_the_terminal(tmp_path: Path) -> None:
    path = str(hostile_model(tmp_path))
    out = str(tmp_path / "hostile")
    words = ["--kind", "waveform", "--sample-rate", "1200", "--out", out]
    printed = {"init": on_a_terminal("model", "init", path, *words)}
    if Path(out).exists():  # else the labels were refused
        printed["verify"] = on_a_terminal("model", "verify", out)
        printed["inspect"] = on_a_terminal("model", "inspect", out)
    printed["inspect file"] = on_a_terminal("model", "inspect", path)
    assert {name: text for name, text in printed.items() if not is_plain(text)} == {}


def test_labels_of_a_manifest_do_not_command_the_terminal(tmp_path: Path) -> None:
    model = str(model_directory(tmp_path, labels=(HOSTILE, "second", "third")))
    config = tmp_path / "edgeaudio.toml"
    config.write_text(f'[models.mine]\npath = "{model}"\n')
    for words in (
        ["model", "inspect", model],
        ["model", "verify", model],
        ["score", "--model", model, str(tmp_path / "gone\x1b[2J.wav")],
        ["check", "--offline", "--config", str(config)],
        ["check", "--print", "--config", str(config), "--set", "device=\x1b[2J"],
        ["\x1b[2J"],
        ["probe", "--seconds", "\x1b[2J\n"],
    ):
        text = on_a_terminal(*words)
        assert text, words
        assert is_plain(text), words


def test_a_stream_without_a_descriptor_is_printed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    print_out("out\x1b")
    flush_output()
    print_error("err\x1b")
    redraw("line\n")
    discard_output()
    assert (streams[0].getvalue(), streams[1].getvalue()) == ("out\\u001b\n", "err\\u001b\n\rline\\n")


def test_an_error_clears_the_line_that_was_drawn_on_its_own_stream_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_on, other = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", drawn_on)
    redraw("12 %")
    print_error("first")
    redraw("34 %")
    monkeypatch.setattr(sys, "stderr", other)
    print_error("second")
    assert drawn_on.getvalue() == "\r12 %\r    \rfirst\n\r34 %"
    assert other.getvalue() == "second\n"


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
    ],
    ids=str,
)
def test_failures_stand_out_where_the_terminal_takes_colours(
    environment: dict[str, str], coloured: bool, tmp_path
) -> None:
    config = tmp_path / "edgeaudio.toml"
    config.write_text(f'state_dir = "{tmp_path}"\n[models.mine]\npath = "gone"\n[sources.porch]\nurl = "alsa:x"\n')
    for name in ("TERM", "NO_COLOR"):
        environment.setdefault(name, "")  # an empty one counts as none
    text = on_a_terminal("check", "--offline", "--config", str(config), environment=environment)
    assert ("\x1b[1;31mFAILS\x1b[0m" in text) is coloured
    assert ("\x1b[32mworks\x1b[0m" in text) is coloured
    assert ("\x1b" in text) is coloured
    if coloured:
        assert b"\x1b" not in run("check", "--offline", "--config", str(config), **environment).stdout


def test_colours_are_for_terminals_alone() -> None:
    near, far = pty.openpty()
    with os.fdopen(far, "w") as stream:
        assert takes_colours(stream, {"TERM": "xterm"})
        assert takes_colours(stream, {"TERM": "xterm", "NO_COLOR": ""})
        assert not takes_colours(stream, {})
        assert not takes_colours(stream, {"TERM": "dumb"})
        assert not takes_colours(stream, {"TERM": "xterm", "NO_COLOR": "x"})
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        assert width_of(stream, {}) == 100
        assert width_of(stream, {"COLUMNS": "60"}) == 60
        assert width_of(stream, {"COLUMNS": "1"}) == 20
        assert width_of(stream, {"COLUMNS": "x"}) == 100
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        assert width_of(stream, {}) == 80
    os.close(near)
    assert not takes_colours(io.StringIO(), {"TERM": "xterm"})
    assert width_of(io.StringIO(), {}) is None
    assert width_of(io.StringIO(), {"COLUMNS": "80"}) is None
    assert width_of(None) is None


def test_tables_are_folded_at_words_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    model = str(model_directory(tmp_path))
    config = tmp_path / "edgeaudio.toml"
    config.write_text(f'state_dir = "{tmp_path}"\n[models.mine]\npath = "{model}"\nlabels = ["gone"]\n')
    words = ["check", "--offline", "--config", str(config)]
    whole = run(*words).stdout.decode().splitlines()
    folded = without_runtime_line(on_a_terminal(*words, width=50)).splitlines()
    assert len(whole) < len(folded)
    assert " ".join(" ".join(folded).split()) == " ".join(" ".join(whole).split())
    indent = whole[0].index("works") + len("works") + 2
    for line in folded:
        assert len(line) <= 50 or " " not in line[indent:]  # a path is longer, and not cut
        assert len(line[:indent].split()) in {0, 2, 3}
