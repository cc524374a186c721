"""The error raised if no TFLite runtime can be imported: which system this is, and which runtime exists for it.

Owns: which systems have a runtime (docs/platforms.md has the same as a table).

The kernel's name of the machine is not enough: a 32-bit system under a 64-bit kernel is aarch64 too.
"""

from __future__ import annotations

import os
import platform
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from edgeaudio.errors import EdgeaudioError

_MUSL_LOADERS = "ld-musl-*.so.1"
# the kernel's names of the machine, for a Python of that width
_ARM_64, _ARM_32 = ("aarch64", "armv8l"), ("armv7l", "armv8l", "aarch64")
LITERT_PYTHONS = ((3, 11), (3, 14))


class NoRuntimeError(EdgeaudioError):
    """No TFLite runtime can be imported; one line says why, and what to do."""


@dataclass(frozen=True)
class System:
    """Facts that decide whether there is a runtime."""

    machine: str  # the kernel's name
    bits: int  # of the userland, which is Python's own
    python: tuple[int, int]
    libc: str  # "glibc 2.36", "musl", "unknown libc"

    def __str__(self) -> str:
        return f"{self.machine}, {self.bits}-bit userland, Python {_dotted(self.python)}, {self.libc}"


def this_system(libraries: Path = Path("/lib")) -> System:
    """Return the system of this process; `libraries` is the directory of musl's loader."""
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or "unknown libc"
    except (ValueError, OSError):  # a name that only glibc knows
        libc = "musl" if next(libraries.glob(_MUSL_LOADERS), None) else "unknown libc"
    return System(platform.machine(), struct.calcsize("P") * 8, sys.version_info[:2], libc)


def no_runtime(system: System, error: Exception) -> NoRuntimeError:
    """Return the error for a system; `error` is the one that the import raised."""
    # pip takes a runtime that is there and cannot be imported for installed
    install = "pip install" if isinstance(error, ModuleNotFoundError) else "pip install --force-reinstall"
    problem = " ".join(str(error).split()) or type(error).__name__
    return NoRuntimeError(f"no TFLite runtime ({problem}) on this system ({system}): {_remedy(system, install)}")


def _remedy(system: System, install: str) -> str:
    if system.libc == "musl":
        return "no runtime is built for musl; use a system with glibc (Debian, Ubuntu, Raspberry Pi OS)"
    first, last = LITERT_PYTHONS
    if system.bits == 64 and system.machine in ("x86_64", *_ARM_64):
        if first <= system.python <= last:
            return f"ai-edge-litert serves it: {install} ai-edge-litert"
        return f"ai-edge-litert serves it with Python {_dotted(first)} to {_dotted(last)}"
    if system.bits == 32 and system.machine in _ARM_32:
        if system.python == (3, 11):
            return (
                f"tflite-runtime serves it: {install} tflite-runtime==2.14.0 'numpy<2' (NumPy's wheel is on piwheels)"
            )
        return "tflite-runtime 2.14 serves it with Python 3.11 (Debian and Raspberry Pi OS bookworm)"
    return "there is none for it; x86_64 and aarch64 (64-bit), and armv7l (32-bit, Python 3.11) have one"


def _dotted(python: tuple[int, int]) -> str:
    return ".".join(map(str, python))
