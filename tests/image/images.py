"""Images: the base that stands in for the official one, the builds by buildah, and sizes.

Owns: where the trees and Dockerfiles are that `make balena` and `make homeassistant` write. Does not know: containers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fresh.machines import machine, settle_in

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("IMAGE_FOLDER", ROOT / "build" / "image"))
UUID = "0123456789abcdef0123456789abcdef"  # that balena gives a device
# differences of the official images from debootstrap: pip on the path, no caches of apt, no documents
LIKE_THE_OFFICIAL = """
apt-get -qq purge --autoremove git make >/dev/null
apt-get -qq purge 'perl-modules-*' libperl5* perl >/dev/null
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc /usr/share/man /usr/share/locale
echo 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";' >/etc/apt/apt.conf.d/docker-clean
python3 -m venv /usr/local/python
for name in python python3 pip; do ln -s ../python/bin/$name /usr/local/bin/$name; done
find / -xdev -name __pycache__ -prune -exec rm -r {} +
"""


@dataclass(frozen=True)
class Image:
    """An image to build, and the name and memory file systems of its container."""

    name: str
    context: Path
    dockerfile: Path
    device: str
    in_memory: tuple[str, ...]

    @property
    def tag(self) -> str:
        return f"localhost/edgeaudio-{self.name}"


BALENA = Image(
    "balena",
    ROOT / "build" / "balena",
    ROOT / "build" / "balena" / "deploy" / "balena" / "Dockerfile",
    UUID[:12],
    ("/run/edgeaudio", "/tmp"),
)
APP = Image(
    "homeassistant",
    ROOT / "build" / "homeassistant" / "edgeaudio",
    ROOT / "build" / "homeassistant" / "edgeaudio" / "Dockerfile",
    "home",
    ("/tmp",),
)


def base_name(dockerfile: Path) -> str:
    """Return the base image of a Dockerfile."""
    first = next(line for line in dockerfile.read_text().splitlines() if line.startswith("FROM "))
    return first.split()[1]


def buildah(*words: str | Path) -> str:
    """Run buildah on a storage of its own, and return what it prints."""
    command = ["buildah", "--root", FOLDER / "storage", "--runroot", FOLDER / "run", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"image: buildah {words[0]} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout.strip()


def make_base(name: str) -> float:
    """Make the base under the name of the official one. Returns its size in MB."""
    release = name.rpartition("-")[2]
    print(f"making {name} of Debian's {release} ...", flush=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as unpacked:
        Path(unpacked).chmod(0o755)
        subprocess.run(["tar", "-xf", machine(release), "-C", unpacked], check=True)
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
        inside = ["chroot", unpacked, "sh", "-ec", LIKE_THE_OFFICIAL]
        subprocess.run(inside, env=environment, stderr=subprocess.DEVNULL, check=True)
        settle_in(Path(unpacked))
        container = buildah("from", "scratch")
        buildah("add", container, unpacked, "/")
        buildah("commit", "--rm", container, name)
        return size_mb(Path(unpacked))


@contextmanager
def mounted(tag: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the root of the image's files, and its configuration."""
    container = buildah("from", "--pull-never", tag)
    try:
        config = json.loads(buildah("inspect", "--type", "image", tag))["Docker"]["config"]
        yield Path(buildah("mount", container)), config
    finally:
        buildah("rm", container)


def size_mb(root: Path) -> float:
    """Return the size of all files in MB, a million bytes each, as engines count."""
    return int(subprocess.check_output(["du", "-xs", "--block-size=1", root]).split()[0]) / 1e6


def arm64_mb(image: Image, packages: Path) -> float:
    """The size of arm64's wheels, installed and stripped as the Dockerfile does it; by this machine's pip."""
    python = packages.parent.name.removeprefix("python")
    (strip,) = re.findall(r"^RUN (rm -rf .*?)\nCOPY", image.dockerfile.read_text(), re.DOTALL | re.MULTILINE)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        target = Path(folder) / packages
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--require-hashes", "--ignore-requires-python", "--python-version", python]
        for minor in range(41, 16, -1):
            command += ["--platform", f"manylinux_2_{minor}_aarch64"]
        locked = ROOT / "deploy" / "requirements" / f"arm64-{python}.txt"
        subprocess.run([*command, "--target", target, "--requirement", locked], check=True)
        subprocess.run(["sh", "-ec", strip], cwd=target, check=True)
        return size_mb(target)
