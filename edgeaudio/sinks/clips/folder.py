"""The folder of clips as its one writer has it: unfinished clips, and how a finished one gets in.

Owns: the folder `.incomplete` in it, where what an earlier process left is removed at the start, and the order in which
a clip's files move.
Does not know: what is in them, which clips are removed later.

The sound moves first, then the picture, the record last. A process that was killed between the moves leaves a record
in `.incomplete` whose sound has moved; the next start completes it. So no file is ever left in the folder without a
record.

Another program may have a folder of that name, and whoever can write there may put a link in its place: only what is
called as a clip is removed, and nothing behind a link.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from pathlib import Path

from edgeaudio.clips.record import FILE_NAME, MAX_BYTES, SUFFIX, ClipRecordError, read_record
from edgeaudio.files import read_regular
from edgeaudio.sinks.clips.errors import ClipsError
from edgeaudio.sinks.clips.open_clip import FinishedClip, remove

_INCOMPLETE = ".incomplete"
_TRIAL = "trial"


class ClipFolder:
    """The folder, which one process at a time may write clips to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.incomplete = path / _INCOMPLETE
        self._lock: int | None = None

    def open(self) -> None:
        """Make the folder if need be, and clear what an earlier process left. Raises ClipsError."""
        try:
            self.incomplete.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.incomplete, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._take_lock(self._lock)
            self._recover()
            trial = self.incomplete / _TRIAL
            trial.write_bytes(b"trial")
            trial.unlink()
        except OSError as error:
            self.close()
            if error.errno in {errno.ENOTDIR, errno.ELOOP} and self.incomplete.is_symlink():
                raise ClipsError(f"{self.incomplete} is a symbolic link; remove it, or set clips.folder") from None
            raise ClipsError(f"clips cannot be written to {self.path}: {error.strerror or error}") from None
        except ClipsError:
            self.close()
            raise

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
        self._sync()
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
        for file in sorted(self.incomplete.iterdir()):
            if file.name.endswith(SUFFIX):
                with contextlib.suppress(OSError, ClipRecordError):
                    record = read_record(read_regular(file, MAX_BYTES + 1))
                    if (self.path / record.sound.file).is_file() and not (self.incomplete / record.sound.file).exists():
                        for name in (*record.files[1:], file.name):
                            with contextlib.suppress(FileNotFoundError):  # it has moved
                                (self.incomplete / name).replace(self.path / name)
        for file in self.incomplete.iterdir():
            if _is_of_clips(file.name):
                remove(file)

    def _sync(self) -> None:
        """Have the disk hold the names."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # not every file system can
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there, and have the disk hold it. Raises OSError.

    Its mode is not changed afterwards: a USB stick with FAT refuses that.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _is_of_clips(name: str) -> bool:
    """True for what is made in `.incomplete`: a clip's files, and the trial."""
    return name == _TRIAL or FILE_NAME.fullmatch(name) is not None


def try_folder(path: Path) -> None:
    """Try whether clips can be written to a folder, beside a running agent too. Raises ClipsError.

    Nothing stays: the folder would belong to whoever tries, and the agent may be another user.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as trial:  # no name that somebody may have put a link at
            trial.write(b"trial")
            trial.flush()
    except OSError as error:
        raise ClipsError(f"clips cannot be written to {path}: {error.strerror or error}") from None
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # an agent has put something into it
                folder.rmdir()
