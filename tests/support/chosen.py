"""The command line of proofs on machines: their names, and the programs that make them."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Collection, Mapping


def chosen_machines(prog: str, says: str, names: Collection[str], programs: Mapping[str, str]) -> list[str]:
    """Return the machines that are named; none means all. Ends the process, with a line, if something is missing.

    programs: the required programs, and the package of each.
    """
    parser = argparse.ArgumentParser(prog=prog, description=says)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(names)}; all by default")
    chosen: list[str] = parser.parse_args().names
    if unknown := set(chosen) - set(names):
        parser.error(f"there is no machine named {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if os.geteuid() != 0:
        parser.error("needs root, to make the machines and their mounts")
    if lacking := {program: package for program, package in programs.items() if shutil.which(program) is None}:
        packages = " ".join(dict.fromkeys(lacking.values()))
        parser.error(f"{', '.join(lacking)} is not installed: apt-get install {packages}")
    return chosen
