"""Speech by the program espeak-ng."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeaudio.errors import EdgeaudioError
from tools.training.recordings import read_audio

Samples = NDArray[np.float32]

PROGRAM = "espeak-ng"
SPEECH = "speech"  # the label of what people say, and espeak-ng
LIMIT_S = 60


def require_espeak() -> str:
    """Return the path of espeak-ng.

    Raises:
        EdgeaudioError: It is not installed.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise EdgeaudioError("espeak-ng is not installed, and part of the speech is its: apt install espeak-ng")
    return program


def speak(text: str, voice: str, speed: int, pitch: int, sample_rate: int) -> Samples:
    """Return the text read aloud: float32 (n,); `speed` in words a minute, `pitch` from 0 to 99.

    Raises:
        EdgeaudioError: espeak-ng is not installed, or refuses the voice.
    """
    program = require_espeak()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speech.wav"
        # -b 1: the text is UTF-8, whatever the locale says
        arguments = [program, "-b", "1", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(file), text]
        try:
            subprocess.run(arguments, check=True, capture_output=True, timeout=LIMIT_S)  # noqa: S603 (our own words)
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().replace("\n", " ")
            raise EdgeaudioError(f"espeak-ng does not read voice {voice}: {said}; its version may lack it") from None
        return read_audio(file, sample_rate)
