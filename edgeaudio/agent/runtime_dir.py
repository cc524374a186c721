"""Where an agent keeps what must outlive its process and need not outlive the machine's: the runtime directory.

Owns: which directory that is, the names of files in it, and whether they are in memory.
Does not know: what is in them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_IN_MEMORY = {"tmpfs", "ramfs"}


@dataclass(frozen=True, slots=True)
class RuntimeDir:
    """A directory that can be written to; `in_memory`: writing there wears out no disk, and waits for none."""

    folder: Path
    stem: str  # of this agent's files: others may share the directory
    in_memory: bool

    def file(self, kind: str) -> Path:
        """The path of this agent's file of that kind."""
        return self.folder / f"{self.stem}.{kind}"


def find_runtime_dir(device: str, state_dir: Path, environ: Mapping[str, str] = os.environ) -> RuntimeDir | None:
    """The first of systemd's, /run/edgeaudio for root, the user's own, and the state directory that can be written to.

    The state directory is one agent's alone (its outbox is locked), so its path tells agents of the same name apart.
    """
    digest = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:12]
    for folder in _candidates(state_dir, environ):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = RuntimeDir(folder, f"{device}-{digest}", _file_system(folder) in _IN_MEMORY)
            found.file("try").write_bytes(b"")
            found.file("try").unlink()
        except OSError:
            continue
        return found
    return None


def _candidates(state_dir: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    if given := environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        yield Path(given)
    elif os.geteuid() == 0:
        yield Path("/run/edgeaudio")
    elif users := environ.get("XDG_RUNTIME_DIR"):
        yield Path(users, "edgeaudio")
    yield state_dir


def _file_system(path: Path) -> str:
    """The kind of file system that holds `path`, by its device number; "" where that cannot be told."""
    number = path.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split(" ")[2] == device:
            return kind.split(" ")[0]
    return ""
