"""Run the proofs and record what they measured: `make faults`, or `python -m chaos [--short] [NAME ...]`.

Owns: which proofs there are, what each needs, and the order. Does not know: how anything is broken (the others here).

The full form rewrites the measured parts of docs/reliability.md and docs/centres.md; the short form, which the tests
run too, only prints. The exit status is 0 where every proof held.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import av
import pytest
from support.brokers import ROOT
from support.programs import lacking, require_program
from support.slurm import PROGRAMS as SLURM

from chaos.archive import archive
from chaos.cameras import cameras
from chaos.collect import collect
from chaos.film import film
from chaos.fleet import fleet
from chaos.fuzz import fuzz
from chaos.kills import kills
from chaos.load import load
from chaos.mutations import mutations
from chaos.outages import outages
from chaos.servers import servers
from chaos.shards import shards
from chaos.soak import soak
from chaos.speech import speech
from chaos.table import rewrite, table
from chaos.writes import writes
from edgeaudio import __version__

DOCS = ROOT / "docs"


class Row(Protocol):
    """Result of a proof: a dataclass for the table, with the limits that were exceeded."""

    @property
    def faults(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof: its description, the programs that it needs, and its two forms."""

    says: str
    needs: tuple[str, ...]
    full: Callable[[Path], Sequence[Row]]
    short: Callable[[Path], Sequence[Row]]
    page: str = "reliability.md"  # that holds what it measured


PROOFS = {
    "load": Proof(
        "one camera and ten, and nothing breaks; 6 min",
        ("mosquitto", "gstreamer"),
        load,
        lambda folder: load(folder, short=True),
    ),
    "kills": Proof(
        "the agent is killed 100 times; 6 min",
        ("mosquitto", "gstreamer"),
        lambda folder: [kills(folder, 100)],
        lambda folder: [kills(folder, 5)],
    ),
    "outages": Proof(
        "the broker goes away in six ways; 9 min",
        ("mosquitto", "mosquitto_passwd"),
        outages,
        lambda folder: outages(folder, short=True),
    ),
    "fleet": Proof(
        "the broker of 200 devices is restarted; 3 min",
        ("mosquitto",),
        fleet,
        lambda folder: fleet(folder, short=True),
    ),
    "cameras": Proof(
        "cameras and networks fail; 4 min",
        ("mosquitto", "gstreamer", "ip", "nft"),
        cameras,
        lambda folder: cameras(folder, rounds=1),
    ),
    "servers": Proof(
        "odd and hostile servers beside a good camera; 2 min",
        ("mosquitto", "gstreamer"),
        servers,
        lambda folder: servers(folder, short=True),
    ),
    "writes": Proof(
        "what is written to the disk, with and without events; 12 min",
        ("mosquitto",),
        writes,
        lambda folder: writes(folder, short=True),
    ),
    "film": Proof(
        "films into files and servers, which stall and die; 5 min",
        ("gstreamer", "nginx-rtmp", "ffmpeg"),
        film,
        lambda folder: film(folder, short=True),
    ),
    "mutations": Proof(
        "2,000 damaged files and playlists are opened; 1 min",
        (),
        lambda folder: [mutations(folder)],
        lambda folder: [mutations(folder, 200)],
    ),
    "fuzz": Proof(
        "servers of HLS and cameras made at random; an hour",
        (),
        lambda folder: [fuzz(folder, 60)],
        lambda folder: [fuzz(folder, 0.15)],
    ),
    "speech": Proof(
        "what is said in a stream becomes text, while stream, recogniser and agent go away; 20 min",
        ("mosquitto", "nginx", "flite"),
        speech,
        lambda folder: speech(folder, short=True),
    ),
    "shards": Proof(
        "a centre goes from three shards to four and to two; 1 min",
        ("mosquitto", "gstreamer"),
        shards,
        lambda folder: shards(folder, short=True),
        page="centres.md",
    ),
    "collect": Proof(
        "collectors, their database and their broker are killed under 1,000 detections a second; 6 min",
        ("mosquitto", "postgres"),
        collect,
        lambda folder: collect(folder, short=True),
        "centres.md",
    ),
    "archive": Proof(
        "an archive on processes, Dask and Slurm, with kills and bad files; 15 min",
        SLURM,
        archive,
        lambda folder: archive(folder, short=True),
    ),
    "soak": Proof(
        "everything at once; an hour",
        ("mosquitto", "gstreamer"),
        lambda folder: [soak(folder, 60)],
        lambda folder: [soak(folder, 1)],
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos", description="prove edgeaudio by breaking it")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROOFS)}; all, if none is named")
    parser.add_argument("--short", action="store_true", help="a few minutes in all; nothing is written down")
    options = parser.parse_args()
    if unknown := set(options.names) - set(PROOFS):
        parser.error(f"there is no proof named {', '.join(sorted(unknown))}; there are {', '.join(PROOFS)}")
    held = [run(name, short=options.short) for name in options.names or PROOFS]
    return 0 if all(held) else 1


def run(name: str, *, short: bool) -> bool:
    """Run one proof, print its table, and record it; True if it held."""
    proof = PROOFS[name]
    if missing := lacking(proof.needs):
        print(f"{name}: not run, for these are not installed: {', '.join(missing)}", file=sys.stderr)
        return False
    print(f"{name}: {'in short' if short else proof.says} ...", flush=True)
    begin_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"edgeaudio-{name}-") as folder:
        try:
            rows = (proof.short if short else proof.full)(Path(folder))
        except (AssertionError, pytest.skip.Exception) as error:
            # the helpers are the tests': what fails or cannot be run, they say in pytest's way
            print(f"{name}: {'FAILED' if isinstance(error, AssertionError) else 'not run'}: {error}", file=sys.stderr)
            return False
    took_s = time.monotonic() - begin_s
    lines = table(rows)
    print("\n".join(lines), f"\n{name}: took {took_s:.0f} s", flush=True)
    if not short:
        told = f"`make faults FAULTS={name}`, {datetime.now(UTC):%Y-%m-%d}, in {took_s / 60:.0f} min on {machine()}:"
        document = DOCS / proof.page
        document.write_text(rewrite(document.read_text(), name, [told, "", *lines]))
    faults = [fault for row in rows for fault in row.faults]
    for fault in faults:
        print(f"{name}: FAILED: {fault}", file=sys.stderr)
    return not faults


def machine() -> str:
    """Return the machine and the versions that were measured."""
    told = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    versions = {"edgeaudio": __version__, "Python": platform.python_version(), "PyAV": av.__version__}
    if not lacking(["mosquitto"]):
        said = subprocess.run([require_program("mosquitto"), "-h"], capture_output=True, text=True, check=False).stdout
        versions["Mosquitto"] = said.splitlines()[0].rpartition(" ")[2]
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{os.cpu_count()} shared cores ({told[1] if told else platform.machine()}), {names}"


if __name__ == "__main__":
    sys.exit(main())
