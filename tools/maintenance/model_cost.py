"""What models cost an agent that listens to one live camera: CPU time per second of sound, and resident memory.

    python -m tools.maintenance.model_cost MODEL[,MODEL...] ...

MODEL is a model directory, or the name of a bundled model. Each argument is an agent of its own, with those models; all
of them listen to an AAC camera on loopback, and are measured in turn, each alone on a core.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

# BLAS reads it as NumPy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # the camera and the broker are those of the tests

from edgeaudio import toml_writer
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.manifest import FILE_NAME
from edgeaudio.recognise.manifest_file import read_manifest
from tools.benchmarks.contenders import Contender, agent, costs
from tools.benchmarks.cores import SERVERS, pinned
from tools.benchmarks.live_servers import AAC, camera, can_run

ROUNDS = 5
ROUND_S = 10.0


def main(arguments: Sequence[str]) -> int:
    """Measure and print; returns the exit status."""
    if not arguments or not can_run("the cost of models"):
        print(__doc__)
        return 2
    contenders = [Contender(names, agent(_tables(names.split(",")))) for names in arguments]
    with pinned(SERVERS):
        found = costs(contenders, partial(camera, AAC), 1, rounds=ROUNDS, seconds=ROUND_S)
    print("| models | CPU, ms a second | memory, MB |\n|---|---|---|")
    for name, cost in found.items():
        print(f"| {name} | {cost.cpu_ms:.1f} | {cost.memory_mb:.0f} |")
    return 0


def _tables(names: Sequence[str]) -> str:
    """Return the settings of models, each with its first label alone, so that labels of two cannot clash."""
    tables = {}
    for name in names:
        directory = find_model(name).resolve()
        manifest = read_manifest(directory / FILE_NAME)
        tables[manifest.name] = {"path": str(directory), "labels": [manifest.labels[0]]}
    return toml_writer.dumps({"models": tables})


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
