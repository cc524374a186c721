"""Debian on Arm, run by QEMU: roots with a Python, and the wheels that deploy/requirements/ names.

Owns: how a root is made and kept, what is put into it, and how a program runs in it. Does not know: what is tried.

Packages are unpacked, not installed: nothing but Python is run, and their scripts would take QEMU minutes. Wheels are
fetched by this machine's pip, for the other's platform and by the list's hashes. The kernel is told of QEMU in a user
namespace of its own (Linux 6.7), so nothing of this machine is changed, and with the last process all of it is gone.

XNNPACK asks the cpuinfo library what the processor can do, which asks /sys and /proc/cpuinfo. QEMU passes on this
machine's, of another kind, and cpuinfo crashes over that; without /sys it gives up, and TFLite goes on without XNNPACK.
So a machine has /sys, and a /proc/cpuinfo as its core's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fresh.machines import apt_environment, apt_mirror

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("ARM_FOLDER", ROOT / "build" / "arm"))
RELEASE, PYTHON = "bookworm", "3.11"
PACKAGES = "python3,ca-certificates"
WHEELS, TOOLS, PROJECT = "opt/wheels", "opt/tools", "opt/edgeaudio"
# what the tests need besides
TESTS_NEED = ("pytest", "pytest-timeout", "hypothesis")
CPUINFO = "opt/cpuinfo"
# $1 is the line that registers QEMU, $2 the root; the rest is run in it, and not as process 1: that one survives the
# signal by which QEMU ends itself where its program crashed, and then QEMU waits for ever
INSIDE = f"""
line=$1; root=$2; shift 2
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
echo "$line" > /proc/sys/fs/binfmt_misc/register
mount --rbind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --bind {CPUINFO} proc/cpuinfo
mount --rbind /sys sys
mount --rbind /dev dev
chroot . "$@" || exit $?
"""


@dataclass(frozen=True)
class Core:
    """A processor core that QEMU can be, and what Linux tells of it in /proc/cpuinfo."""

    name: str  # as QEMU has it
    part: str
    features: str
    architecture: int

    @property
    def cpuinfo(self) -> str:
        """As a Raspberry Pi has it, for every processor of this machine: their number is in /sys."""
        lines = [f"Features\t: {self.features}", "CPU implementer\t: 0x41", f"CPU architecture: {self.architecture}"]
        lines += ["CPU variant\t: 0x0", f"CPU part\t: {self.part}", "CPU revision\t: 3", "", ""]
        return "".join("\n".join([f"processor\t: {number}", *lines]) for number in range(os.cpu_count() or 1))


@dataclass(frozen=True)
class Machine:
    """One architecture of Debian."""

    name: str  # as dpkg has it
    machine: str  # as wheels have it
    qemu: str
    elf: str  # the class of its programs and their machine, as the kernel finds them at the beginning of a file
    constraints: str
    cores: tuple[Core, ...]  # the first is the one to take where nobody cares

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

    @property
    def unhashed(self) -> Path:
        """What the package index has no wheel for: it is built (numpy_wheel.py)."""
        return self.requirements.with_name(f"{self.requirements.stem}-unhashed.txt")

    @contextmanager
    def furnished(self) -> Iterator[Path]:
        """Yield a root with wheels and project, which is gone afterwards."""
        with unpacked(self.name, PACKAGES) as root:
            self._fetch(root / WHEELS, ["--no-deps", "--require-hashes", "--requirement", str(self.requirements)])
            if self.unhashed.exists():
                wheels = ["--no-deps", "--no-index", "--find-links", str(FOLDER), "--requirement", str(self.unhashed)]
                self._fetch(root / WHEELS, wheels)
            self._fetch(root / TOOLS, ["--constraint", str(ROOT / self.constraints), *TESTS_NEED])
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root / PROJECT)], check=True)
            # not PYTHONPATH, which tests set for what they start
            paths = "".join(f"/{part}\n" for part in (WHEELS, PROJECT, TOOLS))
            (root / "usr" / "lib" / "python3" / "dist-packages" / "arm.pth").write_text(paths)
            yield root

    def command(self, root: Path, arguments: Sequence[str], core: Core | None = None) -> list[str]:
        """Return the words that run its Python with these arguments, in the project's folder."""
        environment = {"HOME": "/root", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
        return self.inside(root, environment, f"/{PROJECT}", ["python3", *arguments], core)

    def inside(
        self, root: Path, environment: Mapping[str, str], folder: str, words: Sequence[str], core: Core | None = None
    ) -> list[str]:
        """Return the words that run a program of the root; one core at a time."""
        core = core or self.cores[0]
        (root / CPUINFO).write_text(core.cpuinfo)
        space = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
        space += ["--propagation", "private", "sh", "-ec", INSIDE, "sh", self.binfmt, str(root)]
        variables = [f"{name}={value}" for name, value in {**environment, "QEMU_CPU": core.name}.items()]
        return [*space, "env", "--ignore-environment", "--chdir", folder, *variables, *words]

    def _fetch(self, folder: Path, what: Sequence[str]) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
        command += ["--target", str(folder), "--only-binary=:all:", "--python-version", PYTHON, "--upgrade"]
        for minor in range(36, 16, -1):
            command += ["--platform", f"manylinux_2_{minor}_{self.machine}"]
        command += ["--platform", f"linux_{self.machine}"]
        if subprocess.run([*command, *what], check=False).returncode:
            raise SystemExit(f"arm: the wheels for {self.name} are not all to be had")


@contextmanager
def unpacked(architecture: str, packages: str) -> Iterator[Path]:
    """Yield a root with these packages and what they need, which is gone afterwards."""
    kept = _kept(architecture, packages)
    with tempfile.TemporaryDirectory(prefix=f"{kept.stem}-", dir=FOLDER) as folder:
        subprocess.run(["tar", "-xf", str(kept), "-C", folder], check=True)
        yield Path(folder)


def _kept(architecture: str, packages: str) -> Path:
    """Return the kept root, a tar file, and make it if it is not there."""
    kept = FOLDER / f"{architecture}-{packages.replace(',', '-')}.tar"
    if kept.exists():
        return kept
    print(f"{architecture}: making a root with {packages} ...", flush=True)
    with tempfile.TemporaryDirectory(prefix=f"{architecture}-", dir=FOLDER) as made:
        root = Path(made)
        command = ["debootstrap", "--foreign", f"--arch={architecture}", "--variant=minbase"]
        command += [f"--include={packages}", RELEASE, made, *filter(None, [apt_mirror()])]
        log = kept.with_suffix(".log")
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


V8 = "fp asimd evtstrm crc32 cpuid"
V7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae"
MACHINES = (
    Machine(
        "arm64",
        "aarch64",
        "qemu-aarch64-static",
        "02 b7",
        "constraints.txt",
        (
            Core("cortex-a76", "0xd0b", f"{V8} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp", 8),  # Raspberry Pi 5
            Core("cortex-a72", "0xd08", V8, 8),  # 4
            Core("cortex-a53", "0xd03", V8, 8),  # 3, Zero 2
        ),
    ),
    Machine(
        "armhf",
        "armv7l",
        "qemu-arm-static",
        "01 28",
        "constraints-tflite-runtime.txt",
        (Core("cortex-a15", "0xc0f", V7, 7), Core("cortex-a7", "0xc07", V7, 7)),  # a7: 2
    ),
)
