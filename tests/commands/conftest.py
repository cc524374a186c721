"""What tests of the commands share: no settings of this machine, a test model, a recording."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from support.tflite import model_directory, without_runtime_line
from support.wave_files import write_wave

from edgeaudio import cli

RATE = 1200  # of the test model: clips of 120 samples, one each 50 ms, three scores that are means of their thirds


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch) -> None:
    for name in list(os.environ):
        if name.startswith("EDGEAUDIO_"):
            monkeypatch.delenv(name)


@pytest.fixture
def _in_berlin(monkeypatch):
    """The local zone is one whose clocks change."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def model(tmp_path) -> str:
    return str(model_directory(tmp_path))


@pytest.fixture
def thuds(tmp_path) -> Path:
    """2 s: silence, from 0.5 s to 1.0 s a constant 0.9, silence."""
    samples = np.zeros(2 * RATE)
    samples[RATE // 2 : RATE] = 0.9
    return write_wave(tmp_path / "thuds.wav", samples, RATE)


@pytest.fixture
def run(capfd):
    """Run `edgeaudio model`; its status, and the lines on standard output and standard error."""

    def running(*arguments):
        status = cli.main(["model", *map(str, arguments)])
        out, err = capfd.readouterr()
        return status, out.splitlines(), without_runtime_line(err).splitlines()

    return running
