"""Compare the scores and events of two checkouts bit by bit, on this machine.

    python -m tools.maintenance.compare_scores OTHER_CHECKOUT RECORDING...

For a change that must not change scores. Each checkout runs every bundled model on every recording in a process of its
own, by the public Python interface; exit status 1, and a line for each recording that differs, where they disagree.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
# times are left out where they are of the day
_PROGRAM = """
import json, sys, edgeaudio
from datetime import UTC, datetime
from pathlib import Path
start = datetime(2026, 1, 1, tzinfo=UTC)
models = sorted(path.parent.name for path in Path(sys.argv[1], "models").glob("*/model.toml"))
for path in sys.argv[2:]:
    said = []
    for heard in edgeaudio.listen(path, models, period_ms=500, include_scores=True, start=start):
        values = {label: score.hex() for label, score in (heard.scores or {}).items()}
        said.append([heard.model, heard.offset_s.hex(), heard.label, values])
    for event in edgeaudio.detect(path, models, start=start):
        times = event.at.isoformat(), event.duration_s.hex()
        said.append([event.id, event.kind, event.label, event.score.hex(), *times])
    print(json.dumps([path, said]))
"""


def scores(checkout: Path, recordings: Sequence[Path]) -> dict[str, object]:
    """Return the scores and events of a checkout for recordings, by path. Raises CalledProcessError if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-c", _PROGRAM, str(checkout), *map(str, recordings)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 (ours)
    return dict(map(json.loads, done.stdout.splitlines()))


def differing(one: Path, other: Path, recordings: Sequence[Path]) -> list[str]:
    """Return the recordings whose scores or events differ."""
    ours, theirs = scores(one, recordings), scores(other, recordings)
    return [path for path in ours if ours[path] != theirs[path]]


def main(arguments: Sequence[str]) -> int:
    """Compare this checkout with another one."""
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    other, recordings = Path(arguments[0]), [Path(path).resolve() for path in arguments[1:]]
    found = differing(HERE, other.resolve(), recordings)
    for path in found:
        print(f"{path}: the scores or events differ")
    print(f"{len(recordings) - len(found)} of {len(recordings)} recordings: the same scores and events, bit by bit")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
