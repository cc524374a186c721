"""What the runtime says to people."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.tflite import model_directory

from edgeaudio.recognise import chatter
from edgeaudio.recognise.chatter import GREETINGS, without_greetings


def test_a_greeting_is_dropped_and_all_else_is_said(capfd: pytest.CaptureFixture[str]):
    with without_greetings():
        os.write(2, b"before\n" + GREETINGS[0] + b"\nERROR: it matters")
    os.write(2, b"!\n")
    assert capfd.readouterr().err == "before\nERROR: it matters!\n"


def test_the_stream_is_given_back_after_an_exception(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(ValueError, match="x"), without_greetings():
        raise ValueError("x")
    os.write(2, b"here\n")
    assert capfd.readouterr().err == "here\n"


def test_a_service_without_the_stream_is_no_trouble(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chatter, "STDERR", 10**6)  # no process has that many
    with without_greetings():
        pass


@pytest.mark.parametrize("closed", ["", "import os; os.close(2); "])
def test_loading_a_model_says_nothing(closed: str, tmp_path: Path):
    directory = model_directory(tmp_path, "features_time_major")
    program = (
        f"{closed}from pathlib import Path; from edgeaudio.recognise.model import load_model; "
        f"load_model(Path({str(directory)!r})); print('loaded')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("loaded\n", "")
