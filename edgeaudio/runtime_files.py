"""Where an agent keeps what must outlive its process and need not outlive the machine's: the runtime directory.

Owns: which directory that is, and whether it is in memory. Does not know: what is in it.

What is noted often (which sources are being opened, which segment was heard last) belongs there and not in the state
directory: on a memory card each write counts.
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
    """One agent's own directory, which can be written to."""

    folder: Path
    in_memory: bool  # writing there wears out no disk, and waits for none
    last_resort: bool = False  # it is the state directory

    def file(self, name: str) -> Path:
        """The path of a file in it."""
        return self.folder / name

    def leave(self) -> None:
        """Remove the directory, if nothing is left in it for the next process."""
        if not self.last_resort:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


def find_runtime_dir(device: str, state_dir: Path, environ: Mapping[str, str] = os.environ) -> RuntimeDir | None:
    """The first that can be written to: systemd's, /run/edgeaudio for root, the user's own, the state directory.

    Agents may share it, so each has a directory of its own in it. The state directory is one agent's alone (its outbox
    is locked), so its path tells agents of the same name apart.
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
    """The files of that name of all agents that find the same runtime directory, but for the last resorts."""
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
    """The kind of file system that holds `path`, by its device number; "" where that cannot be told."""
    number = path.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split(" ")[2] == device:
            return kind.split(" ")[0]
    return ""
