"""Try the published wheels on Arm: `make test-arm`, or `python -m arm [NAME ...]`.

Owns: what is tried on each machine, and the table. Does not know: how a machine is made (machines.py).

Tried are the golden features, what the bundled models score, sessions of RTSP, and the demo's sounds, which an agent on
the machine hears from cameras of this one. Scores are compared where models are given the same and run by the same
kernels, and shall then be the same but for one quantisation step: by TFLite's reference kernels on both machines, and
by XNNPACK on both; where a runtime has none for these models, by its own kernels there and the reference kernels here.
What the installed runtimes score, by whichever kernels they take, is told beside it. The exit status is 0 where all was
right. docs/platforms.md gets the row of each machine, with the commit that was tried, as the whole takes long.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.table import lines_of, put_row
from support.brokers import BrokerProcess
from support.chosen import chosen_machines

from arm.demo import run_demo_on
from arm.machines import FOLDER, MACHINES, PROJECT, ROOT, Core, Machine
from arm.numpy_wheel import build_numpy

DOCUMENT = ROOT / "docs" / "platforms.md"
SCORES, GIVEN = "tests/arm/scores.py", "given.npz"
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "1800")
FEATURES = (*PYTEST, "tests/recognise/test_golden_features.py")
RTSP = (*PYTEST, "tests/capture/test_rtsp.py", "-k", "pushed_stream")
# of tflite-runtime 2.14 XNNPACK takes no int8 models
KERNELS = {"arm64": "XNNPACK", "armhf": "TFLite's own"}
LIMIT_S = 60 * 60  # of one program


class Differences(Counter[int]):
    """How many scores differ by how many quantisation steps, of all models; empty: there was nothing to compare."""

    @property
    def largest(self) -> int:
        """In steps, and -1 where there was nothing to compare."""
        return max(self, default=-1)

    def __str__(self) -> str:
        ways = [f"{count:,} {f'by {steps}' if steps else 'equal'}" for steps, count in sorted(self.items())]
        return ", ".join(ways) or "none"


@dataclass(frozen=True)
class Row:
    """What came of one machine. Scores: of the core whose largest difference is the largest."""

    machine: str
    cores: str
    Python: str
    NumPy: str
    runtime: str
    kernels: str
    golden_features: str
    scores_by_the_same_kernels: str
    largest_difference_in_steps: int
    scores_as_installed: str
    across_a_threshold: int
    RTSP: str
    demo: str
    all_of_it_s: float
    tried: str  # date and commit

    @property
    def right(self) -> bool:
        one_step = 0 <= self.largest_difference_in_steps <= 1
        tests = all(
            re.fullmatch(r"[0-9]+ passed( and [0-9]+ skipped)?", told) for told in (self.golden_features, self.RTSP)
        )
        return one_step and self.kernels == KERNELS[self.machine] and tests and self.demo == "right"


def main() -> int:
    names = {machine.name: machine for machine in MACHINES}
    programs = {"debootstrap": "debootstrap", "dpkg-deb": "dpkg", "unshare": "util-linux", "git": "git"}
    programs |= {"mosquitto": "mosquitto"} | {machine.qemu: "qemu-user-static" for machine in MACHINES}
    wanted = chosen_machines("arm", "The published wheels on Arm, run by QEMU.", names, programs)
    FOLDER.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends what runs, and takes the machine away
    scores = [sys.executable, SCORES, "write", str(FOLDER / GIVEN)]
    here = json.loads(subprocess.run(scores, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    rows = []
    for name in wanted or names:
        rows.append(run(names[name], here))
        told = f"`make test-arm`, under {qemu_version()}:"
        DOCUMENT.write_text(put_row(DOCUMENT.read_text(), "arm", told, rows[-1], names))
    print("\n".join(lines_of(rows)))
    return 0 if all(row.right for row in rows) else 1


def run(machine: Machine, here: dict[str, Any]) -> Row:
    """Try all of it on one machine, and compare its scores with this one's."""
    began_s = time.monotonic()
    if machine.unhashed.exists():
        build_numpy(machine)
    with machine.furnished() as root:
        shutil.copy(FOLDER / GIVEN, root / PROJECT)
        asked = ["git", "-C", str(root / PROJECT), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        there: dict[str, Any] = {}
        same, installed, across = [], [], []
        for core in machine.cores:
            status, output = inside(machine, root, f"scores-{core.name}", (SCORES, "read", GIVEN), core)
            there = json.loads(output.splitlines()[-1]) if status == 0 else {}
            same.append(by_the_same_kernels(here, there))
            installed.append(compare(here, there, "installed"))
            across.append(across_a_threshold(here, there))
        _, features = inside(machine, root, "features", FEATURES)
        _, rtsp = inside(machine, root, "rtsp", RTSP)
        demo = hear_demo(machine, root)
    return Row(
        machine=machine.name,
        cores=", ".join(core.name for core in machine.cores),
        Python=there.get("python", ""),
        NumPy=there.get("numpy", ""),
        runtime=there.get("runtime", ""),
        kernels=there.get("kernels", ""),
        golden_features=outcome(features),
        scores_by_the_same_kernels=str(worst(same)),
        largest_difference_in_steps=worst(same).largest,
        scores_as_installed=str(worst(installed)),
        across_a_threshold=max(across),
        RTSP=outcome(rtsp),
        demo=demo,
        all_of_it_s=time.monotonic() - began_s,
        tried=f"{datetime.now(UTC):%Y-%m-%d}, {commit}",
    )


def hear_demo(machine: Machine, root: Path) -> str:
    """Play the demo's sounds to the machine, with a broker of this one. What was printed is kept in a file."""
    log = FOLDER / f"{machine.name}-demo.log"
    print(f"{machine.name}: the demo ...", flush=True)
    broker = BrokerProcess(lambda port: ["mosquitto", "-p", str(port)], FOLDER / "broker.log").start()
    try:
        with log.open("w") as file, redirect_stdout(file):
            right = run_demo_on(machine, root, f"mqtt://127.0.0.1:{broker.port}", log.with_stem(f"{log.stem}-agent"))
    finally:
        broker.stop()
    told = log.read_text().splitlines()
    print("\n".join(told[-1 if right else -60 :]), flush=True)
    return "right" if right else told[-1]


def inside(
    machine: Machine, root: Path, name: str, arguments: Sequence[str], core: Core | None = None
) -> tuple[int, str]:
    """Run the machine's Python; returns its exit status and what it printed, which is kept in a file of that name."""
    log = FOLDER / f"{machine.name}-{name}.log"
    print(f"{machine.name}: python3 {' '.join(arguments)} ...", flush=True)
    with log.open("wb") as file:
        try:
            command = machine.command(root, arguments, core)
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=LIMIT_S, check=False
            )
            status = done.returncode
        except subprocess.TimeoutExpired:
            status = 124
    output = log.read_text(errors="replace")
    print("\n".join(output.splitlines()[-1 if status == 0 else -40 :])[-100 if status == 0 else -4000 :], flush=True)
    return status, output


def outcome(output: str) -> str:
    """Return pytest's last line, without what was left out on purpose, and without the time."""
    last = (output.strip().splitlines() or ["nothing was printed"])[-1]
    last = re.sub(r" in [0-9.]+s.*|, [0-9]+ deselected", "", last)
    return last.strip("= ").replace(", ", " and ")


def compare(here: dict[str, Any], there: dict[str, Any], of_here: str, of_there: str = "") -> Differences:
    """Count the differences between those rows of scores; none where some are missing."""
    counted = Differences()
    for name, rows in here[of_here].items():
        others = there.get(of_there or of_here, {}).get(name, [])
        if len(rows) != len(others):
            return Differences()
        for row, other in zip(rows, others, strict=True):
            counted.update(round(abs(a - b)) for a, b in zip(row, other, strict=True))
    return counted


def by_the_same_kernels(here: dict[str, Any], there: dict[str, Any]) -> Differences:
    """Return the worse of two comparisons; none where one of them has nothing."""
    of_here = "installed" if there.get("kernels") == here["kernels"] else "reference"
    return worst([compare(here, there, "reference"), compare(here, there, of_here, "installed")])


def across_a_threshold(here: dict[str, Any], there: dict[str, Any]) -> int:
    """Return how many scores of the installed runtimes are heard on one machine and not on the other."""
    across = 0
    for name, rows in here["installed"].items():
        for row, other in zip(rows, there.get("installed", {}).get(name, []), strict=False):
            across += sum((a >= on) != (b >= on) for a, b, on in zip(row, other, here["thresholds"][name], strict=True))
    return across


def worst(several: Sequence[Differences]) -> Differences:
    """Return the one with the largest difference, or one that has nothing to compare."""
    return max(several, key=lambda one: (not one, one.largest))


def qemu_version() -> str:
    told = subprocess.run([MACHINES[0].qemu, "--version"], capture_output=True, text=True, check=True).stdout
    return f"QEMU {re.findall(r'version ([0-9.]+)', told)[0]} (user mode)"


if __name__ == "__main__":
    sys.exit(main())
