"""Write the constraints files: the newest releases that go together, for each Python that edgeaudio runs on.

    make constraints

`constraints.txt` holds for every extra but one: `tflite-runtime` needs NumPy 1, and has
`constraints-tflite-runtime.txt`. uv resolves them for Pythons and processors that are not here; where they
differ, a line has the Pythons that it is for.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLATFORMS = ("x86_64-manylinux_2_36", "aarch64-manylinux_2_36")
EXTRAS = ("pictures", "demo", "dashboard", "speech", "browser", "test", "wake-words", "lint", "fleet", "docs", "bench")
# TensorFlow has no release for Python 3.14 yet
FILES: dict[str, dict[str, tuple[str, ...]]] = {  # file -> Python -> extras
    "constraints.txt": {
        "3.11": (*EXTRAS, "train"),
        "3.12": (*EXTRAS, "train"),
        "3.13": (*EXTRAS, "train"),
        "3.14": EXTRAS,
    },
    "constraints-tflite-runtime.txt": {"3.11": ("demo", "test", "wake-words", "tflite-runtime")},
}
# what pip builds with, a table of pyproject.toml that uv does not read; and a package whose newest releases are for
# Python 3.10 and older, an upper bound that pip keeps to and uv does not
FURTHER = "hatchling\nbackports-strenum<1.3\n"
HEAD = "# Written by `make constraints`; `make` and CI install these releases, `make test-newest` the newest ones.\n"

Versions = dict[str, str]  # of each package


def resolve(extras: tuple[str, ...], python: str, platform: str) -> Versions:
    """Return the newest releases that go together."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate", "--no-header"]
    command += ["--python-version", python, "--python-platform", platform, "pyproject.toml", "-"]
    command += [word for extra in extras for word in ("--extra", extra)]
    done = subprocess.run(command, cwd=ROOT, input=FURTHER, text=True, check=True, stdout=subprocess.PIPE)  # noqa: S603 (uv, and words of this file)
    return dict(line.split("==") for line in done.stdout.split())


def merge(resolved: dict[str, list[Versions]]) -> list[str]:
    """Return the lines of a constraints file, given what was resolved for each Python."""
    found: dict[str, dict[str, str]] = defaultdict(dict)  # package -> Python -> version
    for python, several in resolved.items():
        for package, version in itertools.chain.from_iterable(versions.items() for versions in several):
            if found[package].setdefault(python, version) != version:
                raise SystemExit(f"{package}: {version} and {found[package][python]} on Python {python}")
    lines = []
    for package, of_python in sorted(found.items()):
        pythons = {version: [p for p in of_python if of_python[p] == version] for version in of_python.values()}
        for version, these in pythons.items():
            bounds = [f"python_version >= '{these[0]}'"] if these[0] != next(iter(of_python)) else []
            bounds += [f"python_version <= '{these[-1]}'"] if these[-1] != next(reversed(of_python)) else []
            lines.append(f"{package}=={version}" + " ; " * bool(bounds) + " and ".join(bounds))
    return lines


if __name__ == "__main__":
    for name, extras in FILES.items():
        resolved = {python: [resolve(extras[python], python, platform) for platform in PLATFORMS] for python in extras}
        (ROOT / name).write_text(HEAD + "\n".join([*merge(resolved), ""]))
