"""Draws docs/transcribe.svg: what `edgeaudio transcribe` prints of a talk in the rain.

    python -m tools.maintenance.transcribe_picture --data ../shared/data --recogniser http://127.0.0.1:8000/v1

Owns: the talk, and the picture's size and place. Needs flite, a recogniser, and the `demo` extra (rich comes with it).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from edgeaudio.types import UTTERANCE_RATE
from tools.maintenance.terminal_picture import draw_terminal
from tools.synth.flite import spoken
from tools.synth.speech_scenes import in_noise, string
from tools.training.recordings import Recording, audio_files, read_audio, without_padding, write_wav

PICTURE = Path(__file__).parents[2] / "docs" / "transcribe.svg"
SNR_DB = 30.0
TALK = (
    "good morning, is anybody at home",
    "the front door was left open during the night",
    "please close the window in the kitchen before you leave",
    "somebody is standing at the gate with a large parcel",
    "call the neighbours and ask whether they heard it too",
)


def main() -> int:
    """Run the command on the talk, and draw what it printed if all was well."""
    parser = argparse.ArgumentParser(prog="transcribe_picture")
    parser.add_argument("--data", type=Path, required=True, help="folder with esc10")
    parser.add_argument("--recogniser", required=True, metavar="URL")
    options = parser.parse_args()
    rng = np.random.default_rng(3)
    talk = [spoken(text) for text in TALK]
    path = audio_files(options.data / "esc10" / "rain", "give a folder with ESC-10")[0]
    rain = Recording(path, "rain", without_padding(read_audio(path, UTTERANCE_RATE)))
    scene = in_noise(string(talk, rng.uniform(1.0, 3.0, len(talk) - 1).tolist(), 2.0, 2.0), rain, SNR_DB, rng)
    with tempfile.TemporaryDirectory() as folder:
        write_wav(Path(folder) / "porch.wav", scene.samples, UTTERANCE_RATE)
        command = [sys.executable, "-m", "edgeaudio", "transcribe", "--recogniser", options.recogniser]
        command += ["--language", "en", "porch.wav"]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 (ours)
    print(done.stdout)
    if done.returncode:
        return done.returncode
    shown = "edgeaudio transcribe --recogniser http://localhost:8000/v1 --language en porch.wav"
    draw_terminal(shown, done.stdout.splitlines(), "edgeaudio transcribe", PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
