"""Versions of edgeaudio to roll out: wheels of the committed tree under other numbers, and a package index of them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.web import web_server

from fleet.machines import FOLDER, HERE, ROOT, Device

PYTHONS = {"bookworm": "3.11", "trixie": "3.13", "jammy": "3.11", "noble": "3.12"}
FIRST, NEXT, BROKEN, BUILT, INDEXED = "0.0.1", "0.0.2", "0.0.3", "0.0.4", "0.0.5"
BROKEN_TEXT = 'import sys\n\nif "run" in sys.argv[1:2]:\n    sys.exit("broken on purpose")\n'
INDEX_PORT = 8080
INDEX = f"http://{HERE}:{INDEX_PORT}/"
BUILD_TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
COMMIT = ["-c", "user.name=fleet", "-c", "user.email=fleet@example.org", "commit", "-qam", "version"]


def wheels(name: str) -> Path:
    """Return the folder of wheels for a distribution."""
    return FOLDER / f"wheels-{name}"


def fill_wheels(name: str) -> None:
    """Fetch what a distribution needs, and build the versions from the committed tree."""
    python = PYTHONS[name]
    requirements = ROOT / "deploy" / "requirements" / f"amd64-{python}.txt"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    words = [
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--python-version",
        python,
        "--dest",
        str(wheels(name)),
    ]
    subprocess.run([*pip, "download", *words, "--requirement", str(requirements)], check=True)
    for version in (FIRST, NEXT, BROKEN, INDEXED):
        with tempfile.TemporaryDirectory(dir=FOLDER) as tree:
            clone_of_version(version, Path(tree))
            subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels(name)), tree], check=True)
    # the build tools, for a build that has no index but this one
    subprocess.run([*pip, "download", "--only-binary=:all:", "--dest", str(wheels("tools")), *BUILD_TOOLS], check=True)


def clone_of_version(version: str, tree: Path) -> None:
    """Clone the committed tree, and give it another number."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tree)], check=True)
    text = f'"""The version."""\n\n__version__ = "{version}"\n'
    (tree / "edgeaudio" / "version.py").write_text(text + (BROKEN_TEXT if version == BROKEN else ""))


@contextmanager
def package_index(there: Device, kept: Path) -> Iterator[None]:
    """Serve the wheels as a package index, a folder for each project, and have the device's pip ask there."""
    folder = FOLDER / f"index-{there.name}"
    shutil.rmtree(folder, ignore_errors=True)
    for wheel in [*kept.glob("*.whl"), *wheels("tools").glob("*.whl")]:
        project = folder / re.sub("[-_.]+", "-", wheel.name.partition("-")[0]).lower()
        project.mkdir(parents=True, exist_ok=True)
        (project / wheel.name).symlink_to(wheel)
    settings = there.root / "etc" / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {INDEX}\ntrusted-host = {HERE}\n")
    try:
        with web_server(folder, host=HERE, port=INDEX_PORT):
            yield
    finally:
        settings.unlink()
