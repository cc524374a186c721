"""Write deploy/requirements/: the locked, hashed lists that a device installs, one an architecture and Python.

    make requirements

A list is constraints.txt narrowed to what the agent needs on one kind of device, with the extra `pictures`, except on
armhf. Markers are worked out here, for that device, as pip works them out for the Python it runs on whatever platform
it is asked for; so pip is asked for each package by itself. What it finds is the wheel for the oldest system that is
served (glibc 2.35, Ubuntu 22.04), which newer ones take as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "requirements"
HEAD = """\
# Written by `make requirements`: what edgeaudio needs on {architecture} (dpkg --print-architecture), Python {python}.
#   pip install --no-deps --only-binary=:all: --require-hashes -r {name}
"""
# a package without a wheel on the package index: its hash cannot be known here
UNHASHED_HEAD = """\
# Written by `make requirements`: what {name} lacks. The package index has no wheel for
# {machine} of it. piwheels has one, and Raspberry Pi OS asks there by itself; its hash is not ours to vouch for, so
# this list has none, and is installed by itself:
#   pip install --no-deps --only-binary=:all: -r {unhashed}
"""


@dataclass(frozen=True)
class Target:
    """One kind of device."""

    architecture: str  # as dpkg has it
    machine: str  # as markers have it
    python: str
    constraints: str
    extras: tuple[str, ...] = ("pictures",)

    @property
    def name(self) -> str:
        return f"{self.architecture}-{self.python}.txt"

    @property
    def unhashed_name(self) -> str:
        return f"{self.architecture}-{self.python}-unhashed.txt"

    def wants(self, requirement: Requirement) -> bool:
        environment = {"platform_machine": self.machine, "python_version": self.python}
        environment |= {"python_full_version": f"{self.python}.0", "sys_platform": "linux", "platform_system": "Linux"}
        return requirement.marker is None or requirement.marker.evaluate({**environment, "extra": ""})


TARGETS = [
    *(
        Target(architecture, machine, python, "constraints.txt")
        for architecture, machine in (("amd64", "x86_64"), ("arm64", "aarch64"))
        for python in ("3.11", "3.12", "3.13", "3.14")
    ),
    # Pillow has no wheel for it: that of piwheels needs libraries of the distribution
    Target("armhf", "armv7l", "3.11", "constraints-tflite-runtime.txt", extras=()),
]


def main() -> None:
    """Write every list; those that are there are taken away first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for target in TARGETS:
        dependencies = [*project["dependencies"]]
        for extra in target.extras:
            dependencies += project["optional-dependencies"][extra]
        hashed, unhashed = resolve(target, dependencies)
        head = HEAD.format(architecture=target.architecture, python=target.python, name=target.name)
        if unhashed:
            about = UNHASHED_HEAD.format(name=target.name, machine=target.machine, unhashed=target.unhashed_name)
            (FOLDER / target.unhashed_name).write_text(about + "".join(f"{pin}\n" for pin in unhashed))
            head += f"# Not all of it: {', '.join(unhashed)} comes first, by {target.unhashed_name}, which says why.\n"
        lines = (f"{pin} --hash=sha256:{sha256}\n" for pin, sha256 in sorted(hashed.items()))
        (FOLDER / target.name).write_text(head + "".join(lines))


def resolve(target: Target, dependencies: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return what the dependencies need in their turn: pins with the SHA-256 of their wheels, and pins without one."""
    releases = pinned(target)
    hashed: dict[str, str] = {}
    unhashed: list[str] = []
    wanted = [Requirement(line) for line in dependencies]
    seen: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or not target.wants(requirement):
            continue
        seen.add(name)
        pin = f"{name}=={releases[name]}"
        wheel = find_wheel(target, pin)
        if wheel is None:
            unhashed.append(pin)
            continue
        hashed[pin] = wheel["download_info"]["archive_info"]["hashes"]["sha256"]
        wanted += map(Requirement, wheel["metadata"].get("requires_dist", []))
    return hashed, unhashed


def pinned(target: Target) -> dict[str, str]:
    """Return package -> release, as the constraints file has it for that Python."""
    lines = (ROOT / target.constraints).read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins if target.wants(pin)}


def find_wheel(target: Target, pin: str) -> dict[str, Any] | None:
    """Return what pip reports of the wheel for that device, None where the package index has none."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", "--report", "-", "--only-binary=:all:", "--target", "unused"]
    # pip compares what a package asks for with the Python that it runs on
    command += ["--python-version", target.python, "--ignore-requires-python"]
    for minor in range(35, 16, -1):
        command += ["--platform", f"manylinux_2_{minor}_{target.machine}"]
    done = subprocess.run([*command, pin], capture_output=True, text=True, check=False)  # noqa: S603 (pip, and words of this file)
    if done.returncode == 0:
        wheel: dict[str, Any] = json.loads(done.stdout)["install"][0]
        return wheel
    if "No matching distribution found" in done.stderr:
        return None
    raise SystemExit(f"{pin} on {target.architecture}: {done.stderr.strip()}")


if __name__ == "__main__":
    main()
