"""Sentences spoken by flite, which is a program of its own (Debian: flite)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from edgeaudio.types import UTTERANCE_RATE
from tools.synth.speech_scenes import Saying, trimmed
from tools.training.recordings import read_audio

VOICES = ("slt", "awb", "rms")


def spoken(text: str, voice: str = "slt") -> Saying:
    """Return a sentence, without silence around it. Raises EdgeaudioError if flite is missing or fails."""
    program = shutil.which("flite")
    if program is None:
        raise EdgeaudioError("flite is not installed (Debian: apt-get install flite)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        command = [program, "-voice", voice, "-t", text, "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (its own words)
        if done.returncode or not path.exists():
            raise EdgeaudioError(f"flite cannot speak with the voice {voice}: {done.stderr.strip()}")
        return Saying(voice, text, trimmed(read_audio(path, UTTERANCE_RATE)))
