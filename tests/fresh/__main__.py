"""Run the README's two commands on bare Debian machines: `make test-fresh`, or `python -m fresh [NAME ...]`.

Owns: the runs and their table. Does not know: how a machine is made (machines.py), what the commands do.

A machine is unpacked for each run, and gets a clone of the committed tree. The commands run in namespaces of their own:
with their end all mounts and processes are gone. The exit status is 0 where all was right; docs/platforms.md has the
last run of each machine, with the commit that was tried, as the whole takes long.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chaos.table import lines_of, put_row
from support.chosen import chosen_machines

from fresh.machines import FOLDER, INSIDE, MACHINES, ROOT, machine, processor, settle_in

DOCUMENT = ROOT / "docs" / "platforms.md"
LIMIT_S = 30 * 60  # of one command


@dataclass(frozen=True)
class Row:
    """Results of one machine."""

    machine: str
    Python: str
    demo: str
    test: str
    passed: int
    skipped: int
    demo_with_installing_s: float
    test_with_installing_s: float
    tried: str  # date and commit

    @property
    def right(self) -> bool:
        return self.demo == self.test == "right" and self.passed > 0


def main() -> int:
    programs = {"debootstrap": "debootstrap", "unshare": "util-linux", "git": "git"}
    names = chosen_machines("fresh", "The README's two commands on bare Debian machines.", MACHINES, programs)
    if subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, check=True).stdout:
        print("fresh: what is not committed is not tried", file=sys.stderr)
    FOLDER.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends what runs, and takes the machine away
    rows = []
    for name in names or MACHINES:
        rows.append(run(name))
        DOCUMENT.write_text(tell(DOCUMENT.read_text(), rows[-1]))
    print("\n".join(lines_of(rows)))
    return 0 if all(row.right for row in rows) else 1


def tell(document: str, row: Row) -> str:
    """Return the document with that machine's row in its table."""
    return put_row(document, "fresh", f"`make test-fresh`, on {processor()}:", row, MACHINES)


def run(name: str) -> Row:
    """Run both commands on one machine; what they print goes to a file, and its end here if they fail."""
    kept = machine(name)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=FOLDER) as unpacked:
        root = Path(unpacked)
        subprocess.run(["tar", "-xf", str(kept), "-C", str(root)], check=True)
        environment = settle_in(root)
        clone = root / "root" / "edgeaudio"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        asked = ["git", "-C", str(clone), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        asked = ["chroot", str(root), "python3", "--version"]
        version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[-1]
        demo, _, demo_s = make(name, root, environment, "demo")
        test, output, test_s = make(name, root, environment, "test")
    found = {word: int(count) for count, word in re.findall(r"(\d+) (passed|skipped)\b", output)}
    tried = f"{datetime.now(UTC):%Y-%m-%d}, {commit}"
    return Row(name, version, demo, test, found.get("passed", 0), found.get("skipped", 0), demo_s, test_s, tried)


def make(name: str, root: Path, environment: Mapping[str, str], target: str) -> tuple[str, str, float]:
    """Run `make TARGET` on the machine. Returns "right" or what went wrong, what was printed, and the seconds taken."""
    print(f"{name}: make {target} ...", flush=True)
    log = FOLDER / f"{name}-{target}.log"
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-ec", INSIDE]
    command += ["sh", str(root), "make", "--no-print-directory", "-C", "/root/edgeaudio", target]
    began_s = time.monotonic()
    with log.open("wb") as file:
        try:
            status = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=LIMIT_S,
                check=False,
            ).returncode
            result = f"exit status {status}" if status else "right"
        except subprocess.TimeoutExpired:
            result = f"not done after {LIMIT_S} s"
    took_s = time.monotonic() - began_s
    output = log.read_text(errors="replace")
    last = "\n".join(output.splitlines()[-1 if result == "right" else -40 :])
    print(f"{name}: make {target}: {result} after {took_s:.0f} s\n{last}", flush=True)
    return result, output, took_s


if __name__ == "__main__":
    sys.exit(main())
