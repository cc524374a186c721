"""Try the published wheels on Arm: `make test-arm`, or `python -m arm [NAME ...]`.

Owns: what is tried on each machine, and the table. Does not know: how a machine is made (machines.py).

Tried are the golden features, what the shipped models score where they are given the same as here (the same, but for
one quantisation step), sessions of RTSP, and the demo, with a Mosquitto of this machine. What they score from the sound
on is told beside it: there a last digit of decoder or features can decide over a step of the model's input, and moves
the output by some steps. The exit status is 0 where all was right; then docs/platforms.md is rewritten.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faults.table import rewrite, table
from support.brokers import BrokerProcess
from support.chosen import chosen_machines

from arm.machines import FOLDER, MACHINES, PROJECT, ROOT, Machine

DOCUMENT = ROOT / "docs" / "platforms.md"
SCORES, GIVEN = "tests/arm/scores.py", "given.npz"
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "1800")
FEATURES = (*PYTEST, "tests/recognise/test_golden_features.py")
RTSP = (*PYTEST, "tests/capture/test_rtsp.py", "-k", "pushed_stream")
DEMO = ("-m", "edgeaudio", "demo", "--broker")
LIMIT_S = 60 * 60  # of one program


@dataclass(frozen=True)
class Row:
    """What came of one machine."""

    machine: str
    Python: str
    NumPy: str
    runtime: str
    golden_features: str
    scores_compared: int
    difference_of_models_in_steps: float
    with_decoder_and_features: float
    RTSP: str
    demo: str
    all_of_it_s: float

    @property
    def right(self) -> bool:
        one_step = self.scores_compared > 0 and self.difference_of_models_in_steps <= 1
        tests = all(
            re.fullmatch(r"[0-9]+ passed( and [0-9]+ skipped)?", told) for told in (self.golden_features, self.RTSP)
        )
        return one_step and tests and self.demo == "right"


def main() -> int:
    names = {machine.name: machine for machine in MACHINES}
    programs = {"debootstrap": "debootstrap", "dpkg-deb": "dpkg", "unshare": "util-linux", "git": "git"}
    programs |= {"mosquitto": "mosquitto"} | {machine.qemu: "qemu-user-static" for machine in MACHINES}
    wanted = chosen_machines("arm", "The published wheels on Arm, run by QEMU.", names, programs)
    FOLDER.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends what runs, and takes the machine away
    scores = [sys.executable, SCORES, "write", str(FOLDER / GIVEN)]
    here = json.loads(subprocess.run(scores, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    rows = [run(names[name], here) for name in wanted or names]
    lines = table(rows)
    print("\n".join(lines))
    right = all(row.right for row in rows)
    if right:
        told = f"`make test-arm`, {datetime.now(UTC):%Y-%m-%d}, under {qemu_version()}:"
        DOCUMENT.write_text(rewrite(DOCUMENT.read_text(), "arm", [told, "", *lines]))
    return 0 if right else 1


def run(machine: Machine, here: dict[str, Any]) -> Row:
    """Try all of it on one machine, and compare its scores with this one's."""
    with machine.unpacked() as root:
        shutil.copy(FOLDER / GIVEN, root / PROJECT)
        began_s = time.monotonic()
        status, output = inside(machine, root, "scores", (SCORES, "read", GIVEN))
        there = json.loads(output.splitlines()[-1]) if status == 0 else {}
        compared, difference = compare(here["given"], there.get("given", {}))
        _, from_sound = compare(here["heard"], there.get("heard", {}))
        _, features = inside(machine, root, "features", FEATURES)
        _, rtsp = inside(machine, root, "rtsp", RTSP)
        broker = BrokerProcess(lambda port: ["mosquitto", "-p", str(port)], FOLDER / "broker.log").start()
        try:
            demo, _ = inside(machine, root, "demo", (*DEMO, f"mqtt://127.0.0.1:{broker.port}"))
        finally:
            broker.stop()
        took_s = time.monotonic() - began_s
    return Row(
        machine=machine.name,
        Python=there.get("python", ""),
        NumPy=there.get("numpy", ""),
        runtime=there.get("runtime", ""),
        golden_features=outcome(features),
        scores_compared=compared,
        difference_of_models_in_steps=difference,
        with_decoder_and_features=from_sound,
        RTSP=outcome(rtsp),
        demo="right" if demo == 0 else f"exit status {demo}",
        all_of_it_s=took_s,
    )


def inside(machine: Machine, root: Path, name: str, arguments: Sequence[str]) -> tuple[int, str]:
    """Run the machine's Python; returns its exit status and what it printed, which is kept in a file of that name."""
    log = FOLDER / f"{machine.name}-{name}.log"
    print(f"{machine.name}: python3 {' '.join(arguments)} ...", flush=True)
    with log.open("wb") as file:
        try:
            command = machine.command(root, arguments)
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


def compare(here: dict[str, Any], there: dict[str, Any]) -> tuple[int, float]:
    """Return how many scores of all models were compared, and the largest difference in quantisation steps."""
    compared, largest = 0, 0.0
    for name, rows in here.items():
        others = there.get(name, [])
        if len(rows) != len(others):
            return 0, float("inf")
        for row, other in zip(rows, others, strict=True):
            compared += len(row)
            largest = max(largest, *(abs(a - b) for a, b in zip(row, other, strict=True)))
    return compared, largest


def qemu_version() -> str:
    told = subprocess.run([MACHINES[0].qemu, "--version"], capture_output=True, text=True, check=True).stdout
    return f"QEMU {re.findall(r'version ([0-9.]+)', told)[0]} (user mode)"


if __name__ == "__main__":
    sys.exit(main())
