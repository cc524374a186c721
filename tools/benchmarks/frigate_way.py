"""Frigate's way, a program: `python -m tools.benchmarks.frigate_way URL N MODEL`.

As its audio detector does it: an ffmpeg child and an interpreter a camera, windows of 0.975 s without overlap at 16
kHz, a level of each, YAMNet, and the labels over 0.5 in order. Its two threads an interpreter are one here, for one
core is what is measured.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np

from tools.benchmarks.ffmpeg_pipe import pieces_of
from tools.benchmarks.peer_interpreter import open_model, output_of
from tools.benchmarks.stream_program import Tally, serve

RATE = 16_000
WINDOW = 15_600
PERIOD_S = WINDOW / RATE
FLOOR = 1e-9  # of the level
THRESHOLD = 0.5


def hear(url: str, model: Path, tally: Tally) -> None:
    """Score one stream, window by window."""
    interpreter = open_model(model)
    for piece in pieces_of(url, RATE, WINDOW):
        tally.heard_s += PERIOD_S
        20 * np.log10(max(float(np.sqrt(np.mean(piece**2))), FLOOR))
        scores = output_of(interpreter, piece)[0]
        order = np.argsort(-scores)
        [(int(label), float(scores[label])) for label in order if scores[label] >= THRESHOLD]
        tally.scored += 1


def main() -> None:
    """Listen until the input ends."""
    url, n_streams, model = sys.argv[1:]
    serve(int(n_streams), partial(hear, url, Path(model)))


if __name__ == "__main__":
    main()
