"""Debian on Arm, run by QEMU: roots with a Python, and the wheels that deploy/requirements/ names.

Owns: how a root is made and kept, what is put into it, and how a program runs in it. Does not know: what is tried.

Packages are unpacked, not installed: nothing but Python is run, and their scripts would take QEMU minutes. Wheels are
fetched by this machine's pip, for the other's platform and by the list's hashes. The kernel is told of QEMU in a user
namespace of its own (Linux 6.7), so nothing of this machine is changed, and with the last process all of it is gone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fresh.__main__ import apt_environment, apt_mirror

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("ARM_FOLDER", ROOT / "build" / "arm"))
RELEASE, PYTHON = "bookworm", "3.11"
PACKAGES = "python3,ca-certificates"
WHEELS, TOOLS, PROJECT = "opt/wheels", "opt/tools", "opt/edgeaudio"
# what the tests need besides
TESTS_NEED = ("pytest", "pytest-timeout", "hypothesis", "cryptography")
# $1 is the line that registers QEMU, $2 the root; the rest is run in it
INSIDE = """
line=$1; root=$2; shift 2
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
echo "$line" > /proc/sys/fs/binfmt_misc/register
mount --rbind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --rbind /dev dev
exec chroot . "$@"
"""


@dataclass(frozen=True)
class Machine:
    """One architecture of Debian."""

    name: str  # as dpkg has it
    machine: str  # as wheels have it
    qemu: str
    elf: str  # the class of its programs and their machine, as the kernel finds them at the beginning of a file
    constraints: str

    @property
    def binfmt(self) -> str:
        """The line for the kernel's register: an ELF program, executable or shared object, of that machine."""
        bits, number = self.elf.split()
        magic = rf"\x7fELF\x{bits}\x01\x01" + r"\x00" * 9 + rf"\x02\x00\x{number}\x00"
        mask = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"
        return f":qemu:M::{magic}:{mask}:{shutil.which(self.qemu)}:F"

    @property
    def requirements(self) -> Path:
        return ROOT / "deploy" / "requirements" / f"{self.name}-{PYTHON}.txt"

    @contextmanager
    def unpacked(self) -> Iterator[Path]:
        """Yield a root with wheels and project, which is gone afterwards."""
        kept = self._kept()
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-", dir=FOLDER) as folder:
            root = Path(folder)
            subprocess.run(["tar", "-xf", str(kept), "-C", str(root)], check=True)
            self._fetch(root / WHEELS, ["--no-deps", "--require-hashes", "--requirement", str(self.requirements)])
            unhashed = self.requirements.with_name(f"{self.requirements.stem}-unhashed.txt")
            if unhashed.exists():  # no index has them: they were built (docs/platforms.md)
                self._fetch(root / WHEELS, ["--no-deps", "--find-links", str(FOLDER), "--requirement", str(unhashed)])
            self._fetch(root / TOOLS, ["--constraint", str(ROOT / self.constraints), *TESTS_NEED])
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root / PROJECT)], check=True)
            yield root

    def command(self, root: Path, arguments: Sequence[str]) -> list[str]:
        """Return the words that run its Python with these arguments, in the project's folder."""
        path = ":".join(f"/{part}" for part in (WHEELS, PROJECT, f"{PROJECT}/tests", TOOLS))
        space = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
        space += ["--propagation", "private", "sh", "-ec", INSIDE, "sh", self.binfmt, str(root)]
        environment = ["HOME=/root", "PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1", f"PYTHONPATH={path}"]
        return [*space, "env", "--ignore-environment", "--chdir", f"/{PROJECT}", *environment, "python3", *arguments]

    def _kept(self) -> Path:
        """Return the kept root, a tar file, and make it if it is not there."""
        kept = FOLDER / f"{self.name}.tar"
        if kept.exists():
            return kept
        print(f"{self.name}: making the machine ...", flush=True)
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-", dir=FOLDER) as made:
            root = Path(made)
            command = ["debootstrap", "--foreign", f"--arch={self.name}", "--variant=minbase"]
            command += [f"--include={PACKAGES}", RELEASE, made, *filter(None, [apt_mirror()])]
            log = FOLDER / f"{self.name}-debootstrap.log"
            with log.open("wb") as file:
                if subprocess.run(command, stdout=file, stderr=file, env=apt_environment(), check=False).returncode:
                    raise SystemExit(f"arm: debootstrap failed, see {log}")
            archives = root / "var" / "cache" / "apt" / "archives"
            for package in sorted(archives.glob("*.deb")):
                tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE, check=True)
                unpack = ["tar", "-xf", "-", "-C", made, "--keep-directory-symlink"]
                subprocess.run(unpack, input=tar.stdout, check=True)
            shutil.rmtree(archives)
            if (root / "proc").is_symlink():  # debootstrap's way in a container; nothing could be mounted on it
                (root / "proc").unlink()
                (root / "proc").mkdir()
            unfinished = kept.with_suffix(".unfinished")
            subprocess.run(["tar", "-cf", str(unfinished), "-C", made, "."], check=True)
        unfinished.replace(kept)
        return kept

    def _fetch(self, folder: Path, what: Sequence[str]) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
        command += ["--target", str(folder), "--only-binary=:all:", "--python-version", PYTHON, "--upgrade"]
        for minor in range(36, 16, -1):
            command += ["--platform", f"manylinux_2_{minor}_{self.machine}"]
        command += ["--platform", f"linux_{self.machine}"]
        if subprocess.run([*command, *what], check=False).returncode:
            raise SystemExit(f"arm: the wheels for {self.name} are not all to be had")


MACHINES = (
    Machine("arm64", "aarch64", "qemu-aarch64-static", "02 b7", "constraints.txt"),
    Machine("armhf", "armv7l", "qemu-arm-static", "01 28", "constraints-tflite-runtime.txt"),
)
