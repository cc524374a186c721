"""The folder of the utterances that wait: what is in it, and what an agent that transcribes nothing removes of it.

Owns: which files are utterances, and which are halves of one. Does not know: bounds, order, what an utterance is.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from edgeaudio.files import sync_folder
from edgeaudio.sinks.transcripts.utterance_file import SUFFIX, UtteranceName, parse_name

NEW: Final = ".new"  # behind the name of a file that is being written


def found(folder: Path) -> list[tuple[UtteranceName, int]]:
    """Return the utterances that are there, with the bytes of their files; remove halves. Raises OSError."""
    whole = []
    for entry in os.scandir(folder):
        name = parse_name(entry.name)
        if name is not None and entry.is_file(follow_symlinks=False):
            whole.append((name, entry.stat(follow_symlinks=False).st_size))
        elif entry.name.endswith(SUFFIX + NEW):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)  # noqa: PTH108 (the entry of a scan)
    return whole


def free_bytes(folder: Path) -> int:
    """Return the bytes that the disk has left. Raises OSError."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def sync(folder: Path) -> bool:
    """Have the disk hold the names; return False where it cannot: not every file system can."""
    try:
        return sync_folder(folder)
    except OSError:
        return False


def remove_utterances(folder: Path) -> int:
    """Remove all that waits in a folder, and the folder; return how many waited. For an agent that transcribes nothing.

    Other files stay. Never raises: it is tried again at the next start.
    """
    removed = 0
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if parse_name(path.name) is not None or path.name.endswith(SUFFIX + NEW):
                with contextlib.suppress(OSError):  # a folder, say; what is beside it is removed
                    path.unlink(missing_ok=True)
                    removed += 1
        folder.rmdir()
    return removed
