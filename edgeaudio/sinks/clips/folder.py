"""The folder of clips as its one writer has it: unfinished clips, and how a finished one gets in.

Owns: the folder `.incomplete` in it, what becomes at the start of what an earlier process left there, and the order in
which a clip's files are written and moved.
Does not know: what is in them, which clips are removed later.

In `.incomplete` the sound is written first, then the picture, then the record: where the record is whole, the clip is.
The sound moves first, then the picture, the record last. The next start completes a clip whose record is whole, and
removes the others. So a killed process loses no complete clip, and no file is ever left in the folder without a record.

Another program may have a folder of that name, and whoever can write there may put a link in its place: only what is
called as a clip is moved or removed, and nothing behind a link.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeaudio.clips.record import FILE_NAME, MAX_BYTES, SUFFIX, ClipRecord, ClipRecordError, read_record
from edgeaudio.files import read_regular, sync_folder
from edgeaudio.sinks.clips.errors import ClipsError
from edgeaudio.sinks.clips.open_clip import FinishedClip, remove

log = logging.getLogger(__name__)

_INCOMPLETE = ".incomplete"


class ClipFolder:
    """The folder, which one process at a time may write clips to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.incomplete = path / _INCOMPLETE
        self._lock: int | None = None

    def open(self) -> None:
        """Make the folder if need be, and complete or remove what an earlier process left. Raises ClipsError."""
        try:
            with self._explained():
                self._lock = self._made()
                self._take_lock(self._lock)
                self._recover()
        except ClipsError:
            self.close()
            raise

    def try_out(self) -> None:
        """Try whether clips can be written, beside a running agent too. Raises ClipsError.

        Nothing stays: the folder would belong to whoever tries, and the agent may be another user.
        """
        made = [folder for folder in (self.incomplete, *self.incomplete.parents) if not folder.exists()]
        try:
            with self._explained():
                os.close(self._made())
        finally:
            for folder in made:
                with contextlib.suppress(OSError):  # an agent has put something into it
                    folder.rmdir()

    def put(self, clip: FinishedClip) -> int:
        """Move a finished clip into the folder; return the bytes of its files. Raises OSError."""
        record = clip.record
        contents = {clip.record_name: record.to_json().encode()}
        if record.picture is not None:
            contents = {record.picture: clip.picture, **contents}
        for name, content in contents.items():
            write_new(self.incomplete / name, content)
        for name in (record.sound.file, *contents):
            (self.incomplete / name).replace(self.path / name)
        sync_folder(self.path)
        return record.sound.bytes + sum(map(len, contents.values()))

    def free_bytes(self) -> int:
        """Return the bytes that the disk has left. Raises OSError."""
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize

    def close(self) -> None:
        """Let another process write to the folder."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an OSError into a ClipsError."""
        try:
            yield
        except OSError as error:
            if error.errno in {errno.ENOTDIR, errno.ELOOP} and self.incomplete.is_symlink():
                raise ClipsError(f"{self.incomplete} is a symbolic link; remove it, or set clips.folder") from None
            raise ClipsError(f"clips cannot be written to {self.path}: {error.strerror or error}") from None

    def _made(self) -> int:
        """Make `.incomplete` if need be, write something there, and return its descriptor. Raises OSError."""
        self.incomplete.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.incomplete, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            with tempfile.TemporaryFile(dir=self.incomplete) as trial:  # no name that somebody may have put a link at
                trial.write(b"trial")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _take_lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClipsError(
                f"another edgeaudio writes clips to {self.path}; set another clips.folder for one of them"
            ) from None
        except OSError:
            return  # a file system without locks on folders, such as NFS

    def _recover(self) -> None:
        completed = 0
        for file in sorted(self.incomplete.iterdir()):
            if file.name.endswith(SUFFIX):
                with contextlib.suppress(OSError, ClipRecordError):
                    record = read_record(read_regular(file, MAX_BYTES + 1))
                    if self._is_complete(file, record):
                        for name in (*record.files, file.name):
                            with contextlib.suppress(FileNotFoundError):  # it has moved
                                (self.incomplete / name).replace(self.path / name)
                        completed += 1
        for file in self.incomplete.iterdir():
            if FILE_NAME.fullmatch(file.name):
                remove(file)
        if completed:
            sync_folder(self.path)
            log.info("clips: %d of an earlier run were complete, and are in %s now", completed, self.path)

    def _is_complete(self, file: Path, record: ClipRecord) -> bool:
        """True if a record in `.incomplete` and its sound are whole, wherever the sound is. Raises OSError."""
        if any(Path(name).stem != file.stem for name in record.files):  # of another clip
            return False
        try:
            sound = (self.incomplete / record.sound.file).lstat()
        except FileNotFoundError:
            sound = (self.path / record.sound.file).lstat()
        return stat.S_ISREG(sound.st_mode) and sound.st_size == record.sound.bytes


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there, and have the disk hold it. Raises OSError.

    Its mode is not changed afterwards: a USB stick with FAT refuses that.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
