"""NumPy's wheel for 32-bit Arm, which the package index lacks below 2: built from its source, once, and kept.

Owns: the build. Does not know: what the wheel is for.

pip, Meson and Cython run under QEMU, as they would on the machine. The compiler does not: Debian's cross compiler is
laid into the root together with the libraries of its own processor, and there the kernel runs it as it is.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from fresh.machines import settle_in

from arm.machines import FOLDER, Machine, unpacked

TRIPLET = "arm-linux-gnueabihf"
PACKAGES = "python3,python3-venv,libpython3.11-dev,ca-certificates"
COMPILER_PACKAGES = f"g++-12-{TRIPLET}"
# of the compiler's own root: what its programs look up, and the libraries of its processor
COMPILER_PARTS = ("lib64", "usr/lib/x86_64-linux-gnu", "usr/lib/gcc-cross", f"usr/{TRIPLET}")
CROSS = "opt/cross"


def build_numpy(machine: Machine) -> None:
    """Build the wheel that the machine's list without hashes asks for, unless it is there; says how long it took."""
    (pin,) = [line for line in machine.unhashed.read_text().splitlines() if not line.startswith("#")]
    name, version = pin.split("==")
    if any(FOLDER.glob(f"{name}-{version}-*_{machine.machine}.whl")):
        return
    began_s = time.monotonic()
    with unpacked(machine.name, PACKAGES) as root, unpacked("amd64", COMPILER_PACKAGES) as compiler:
        lay_compiler(compiler, root)
        (pip,) = (root / "usr" / "share" / "python-wheels").glob("pip-*.whl")
        environment = {**settle_in(root), "PATH": f"/{CROSS}:/usr/bin:/bin"}
        words = ["python3", f"/{pip.relative_to(root)}/pip", "wheel", "--no-deps", "--no-binary", name]
        words += ["--wheel-dir", "/opt/out", pin]
        print(f"{machine.name}: building {pin} ...", flush=True)
        log = FOLDER / f"{name}-{machine.name}.log"
        with log.open("wb") as file:
            command = machine.inside(root, environment, "/root", words)
            if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False).returncode:
                raise SystemExit(f"arm: {pin} cannot be built, see {log}")
        (wheel,) = (root / "opt" / "out").glob("*.whl")
        shutil.copy(wheel, FOLDER)
    print(f"{machine.name}: built {wheel.name} in {time.monotonic() - began_s:.0f} s", flush=True)


def lay_compiler(compiler: Path, root: Path) -> None:
    """Copy the cross compiler from its own root into the other, under the names that a build looks for."""
    for part in COMPILER_PARTS:
        shutil.copytree(compiler / part, root / part, symlinks=True, dirs_exist_ok=True)
    names = root / CROSS
    names.mkdir(parents=True)
    for program in (compiler / "usr" / "bin").glob(f"{TRIPLET}-*"):
        shutil.copy(program, root / "usr" / "bin", follow_symlinks=False)
        (names / program.name.removeprefix(f"{TRIPLET}-").removesuffix("-12")).symlink_to(f"/usr/bin/{program.name}")
    for other, name in (("cc", "gcc"), ("c++", "g++")):
        (names / other).symlink_to(name)
