"""A guard over the paths that run for every source all the time: it fails where they take many more instructions.

It counts, and never looks at a clock. Bytecodes and memory are counted everywhere. The processor's instructions are
counted where Valgrind is installed, because NumPy's and the runtime's work shows only there; they are compared with
those of a floor in the same process, because another processor or NumPy takes others.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.hot_paths import N
from support.programs import require_program

ROOT = Path(__file__).parents[1]
# what a unit of each path takes: turns of a plain Python loop, kB in use at once, and the processor's instructions as a
# multiple of the floor's. More by MARGINS fails, as does less than half. If a change is meant, the counts that the
# failure prints belong here
EXPECTED: dict[str, dict[str, float]] = {
    "clips with features": {"turns": 59, "peak_kb": 850, "instructions": 2.1},
    "pipeline of a source": {"turns": 680, "peak_kb": 4300, "instructions": 3.5},
    "model call": {"turns": 24.5, "peak_kb": 140, "instructions": 4.3},
    "blocks of a recording": {"turns": 175, "peak_kb": 593, "instructions": 2.5},
}
# Pythons differ by a tenth, NumPy 1 and 2 by a fifth, processors with and without AVX by a third
MARGINS = {"turns": 1.4, "peak_kb": 1.4, "instructions": 1.5}


UNITS = {"turns": "turns", "peak_kb": "kB", "instructions": "instructions, as a multiple of the floor's,"}


def faults(found: dict[str, dict[str, float]]) -> list[str]:
    """The counts that are not what is expected, a line each."""
    assert found.keys() == EXPECTED.keys()
    return [
        f"{path}: {UNITS[unit]} {value:.3g}, expected {EXPECTED[path][unit]:g}, at most {MARGINS[unit]:g} times that"
        for path, counts in found.items()
        for unit, value in counts.items()
        if not EXPECTED[path][unit] / 2 <= value <= EXPECTED[path][unit] * MARGINS[unit]
    ]


def run(*arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PYTHONHASHSEED": "0"}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    command = [*prefix, sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize("part", ["features", "resampling", "model_call", "recordings", "growth"])
def test_the_short_form_of_a_part_runs_without_the_peers(part: str) -> None:
    done = run("-m", "tools.bench", "--short", part)
    assert done.returncode == 0, done.stderr
    assert f"({part})" in done.stdout


def test_the_guard_sees_a_path_that_does_everything_twice() -> None:
    assert faults(EXPECTED) == []
    for path, expected in EXPECTED.items():
        for unit in expected:
            worse = {name: dict(counts) for name, counts in EXPECTED.items()}
            worse[path][unit] *= 2
            assert len(faults(worse)) == 1


def test_no_hot_path_takes_more_bytecodes_or_memory() -> None:
    done = run("-m", "support.hot_paths", "bytecodes")
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    counts = {name: {"turns": of["turns"], "peak_kb": of["peak_bytes"] / 1024} for name, of in found.items()}
    assert faults(counts) == []


@pytest.mark.timeout(600)
def test_no_hot_path_takes_more_instructions_than_its_floor_allows(tmp_path: Path) -> None:
    valgrind = require_program("valgrind")
    options = ("--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={tmp_path / 'count'}")
    done = run("-m", "support.hot_paths", "marks", prefix=(valgrind, "-q", *options))
    assert done.returncode == 0, done.stderr
    files = sorted(tmp_path.glob("count.*"), key=lambda path: int(path.suffix[1:]))
    totals = [int(re.findall(r"^(?:totals|summary): (\d+)", path.read_text(), re.MULTILINE)[0]) for path in files]
    # the first is all before the first mark; then for each path, and for its floor, N units and twice as many
    pairs = [(once, twice) for once, twice in zip(totals[1::2], totals[2::2], strict=True)]
    a_unit = [(twice - once) / N for once, twice in pairs]
    found = {
        path: {"instructions": ours / floor}
        for path, ours, floor in zip(EXPECTED, a_unit[::2], a_unit[1::2], strict=True)
    }
    assert faults(found) == []
