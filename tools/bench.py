"""Measures edgeaudio against its peers and its floor in one run: `make bench`, or `python -m tools.bench [PART ...]`.

Owns: which parts there are, and where the results go. Does not know: how anything is measured (benchmarks/).

The whole run rewrites docs/performance.json, and the table and the picture that are made of it; some parts, and the
short form, only print, unless `--keep` puts those parts in the place of what the documents have of them.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

# BLAS reads it as NumPy is imported, which the parts do; the command line of edgeaudio sets it too
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
# the parts use what the tests have: servers, brokers, media
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tools.benchmarks import report
from tools.benchmarks.figures import Measured, Section

# module of benchmarks/ -> heading in docs/performance.md
PARTS = {
    "streams": "CPU of a live stream",
    "capacity": "Streams on one core",
    "latency": "From the sound to the message",
    "live_memory": "Memory of the agent",
    "idle": "Idle sources",
    "features": "Streaming features",
    "resampling": "Resampling",
    "model_call": "Model call",
    "recordings": "Recordings",
    "archive": "Archives",
    "outbox": "Outbox",
    "startup": "Start",
    "growth": "Growth",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chosen parts, or all; return 1 if a part failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench",
        description=__doc__.splitlines()[0],
        epilog="In the environment that `make bench` makes, .venv-bench; in another one the peers are left out.",
    )
    parser.add_argument("--short", action="store_true", help="less of each part, in seconds; for a look, and for CI")
    parser.add_argument("--keep", action="store_true", help="write the named parts into the documents, with their day")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no part is named {', '.join(unknown)}; there are {', '.join(PARTS)}")
    print(", ".join(f"{name} {value}" for name, value in report.machine().items()))
    parts, failed = [], []
    for name in options.parts or PARTS:
        print(f"\n{PARTS[name]} ({name})", flush=True)
        begin_s = time.monotonic()
        try:
            measured = tuple(_measured(name, short=options.short))
            parts.append(report.Part(name, PARTS[name], measured))
            if not measured and options.short:
                print("  (not in the short form)")
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 128 + signal.SIGINT
        except Exception:  # noqa: BLE001 (the others are still worth their minutes)
            traceback.print_exc()
            failed.append(name)
        print(f"  ({time.monotonic() - begin_s:.0f} s)", flush=True)
    if failed:
        print(f"\nnot measured: {', '.join(failed)}")
        return 1
    if options.keep and not options.short:
        known = report.Report.from_json(report.JSON.read_text(encoding="utf-8"))
        report.write(known.with_parts(parts, PARTS))
    elif not options.parts and not options.short:
        report.write(report.Report.of(parts))
    return 0


def _measured(name: str, *, short: bool) -> list[Measured]:
    measure: Section = import_module(f"tools.benchmarks.{name}").measure
    found = []
    for each in measure(short=short):
        print(f"  {report.line(each)}", flush=True)
        found.append(each)
    return found


if __name__ == "__main__":
    sys.exit(main())
