"""The runtime directory: files that outlive the process, but not a restart of the machine.

Owns: which directory that is, and whether it is in memory. Does not know: the files.

Notes that change often (which sources are being opened, the last HLS segment) belong there and not in the state
directory: a memory card wears out with each write.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_IN_MEMORY = {"tmpfs", "ramfs"}


@dataclass(frozen=True, slots=True)
class RuntimeDir:
    """One agent's own writable directory."""

    folder: Path
    in_memory: bool  # no disk is worn out, or waited for
    last_resort: bool = False  # it is the state directory

    def file(self, name: str) -> Path:
        """Return the path of a file in it."""
        return self.folder / name

    def leave(self) -> None:
        """Remove the directory, if it is empty."""
        if not self.last_resort:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


def find_runtime_dir(device: str, state_dir: Path, environ: Mapping[str, str] = os.environ) -> RuntimeDir | None:
    """Return the first writable one: systemd's, /run/edgeaudio for root, the user's own, the state directory.

    Agents may share the first three, so each has a directory of its own there. Its name has a digest of the state
    directory, which is one agent's alone (its outbox is locked), to distinguish agents of one name.
    """
    digest = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:12]
    for base in _candidates(state_dir, environ):
        folder = base / f"{device}-{digest}" if base != state_dir else base
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = RuntimeDir(folder, _file_system(folder) in _IN_MEMORY, last_resort=base == state_dir)
            found.file("try").write_bytes(b"")
            found.file("try").unlink()
        except OSError:
            continue
        return found
    return None


def find_files(name: str, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the files of that name of all agents with the same runtime directory; not those in state directories."""
    return sorted(path for base in _own(environ) for path in base.glob(f"*/{name}"))


def _candidates(state_dir: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    yield from _own(environ)
    yield state_dir


def _own(environ: Mapping[str, str]) -> Iterator[Path]:
    if given := environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        yield Path(given)
    elif os.geteuid() == 0:
        yield Path("/run/edgeaudio")
    elif users := environ.get("XDG_RUNTIME_DIR"):
        yield Path(users, "edgeaudio")


def _file_system(path: Path) -> str:
    """Return the type of the file system of `path`, by its device number; "" if unknown."""
    number = path.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split(" ")[2] == device:
            return kind.split(" ")[0]
    return ""
