"""The folder of clips and pictures.

Owns: names of files, which are random, and that a file is whole when it has its name. Only files with such names are
ever removed. Does not know: which event a file belongs to (store.py). Every method raises OSError.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from edgeaudio.dashboard.media.wire import BY_SUFFIX

_NAME: Final = re.compile(rf"media-[0-9a-f]{{32}}\.(?:{'|'.join(BY_SUFFIX)})(?:\.part)?")
LOCK: Final = "media.lock"
_PART: Final = ".part"


class MediaFolder:
    """One folder, which belongs to one process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._claim: int | None = None  # descriptor of the lock file

    def claim(self) -> None:
        """Make the folder, and hold it against other dashboards, which would remove what they do not know."""
        if self._claim is not None:
            return
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise OSError(error.errno, "another dashboard uses it; set another dashboard.clips_dir") from None
        except OSError:  # a file system without such locks
            pass
        self._claim = descriptor

    @property
    def was_claimed(self) -> bool:
        """True if this, or an earlier process, has put files here. Raises nothing."""
        return self._claim is not None or (self.path / LOCK).is_file()

    def close(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            os.close(claim)

    def free_bytes(self) -> int:
        """Return what a process without privileges may still write."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def put(self, suffix: str, content: bytes) -> str:
        """Write a file whole, and return its name."""
        name = f"media-{secrets.token_hex(16)}.{suffix}"
        part = self.path / (name + _PART)
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                view = memoryview(content)
                while view:
                    view = view[file.write(view) :]
            part.rename(self.path / name)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise
        return name

    def open(self, name: str) -> int:
        """Return a descriptor for reading."""
        return os.open(self.path / self._own(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def remove(self, name: str) -> None:
        (self.path / self._own(name)).unlink(missing_ok=True)

    def files(self) -> Iterator[tuple[str, int]]:
        """Yield name and bytes of each file that was put here, unfinished ones too."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    yield entry.name, entry.stat(follow_symlinks=False).st_size

    def _own(self, name: str) -> str:
        """Return a name, which somebody may have changed in the database, if it is one of those made here."""
        if not _NAME.fullmatch(name):
            raise FileNotFoundError(f"{name!r} is no file of this folder")
        return name
