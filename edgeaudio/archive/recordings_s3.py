"""The recordings in a bucket: which objects, when they begin, and how long they are.

Owns: finding them, and reading their heads, several at once. Does not know: how they are listened to.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from edgeaudio.archive.lengths import length_of
from edgeaudio.archive.recordings import SUFFIXES, BeginsAt, Folder, LeftOut, Recording
from edgeaudio.archive.storage import Stored
from edgeaudio.archive.storage_s3 import Bucket
from edgeaudio.errors import EdgeaudioError

HEAD_BYTES = 64 << 10  # has the header, and what recorders write before the sound
AT_ONCE = 16
_OF_THE_SERVER = frozenset({errno.EHOSTUNREACH, errno.EBUSY, errno.ETIMEDOUT, errno.EPROTO})


def find_in_bucket(address: str, begins_at: BeginsAt) -> Iterator[Folder]:
    """Yield what lies below a prefix, folder by folder. Raises EdgeaudioError."""
    bucket, root = Bucket(address), address.rstrip("/")
    try:
        folders: dict[str, list[Stored]] = {}
        for each in bucket.stored(""):
            path = PurePosixPath(each.name)
            if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts):
                folders.setdefault(str(path.parent), []).append(each)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for folder in sorted(folders):
                yield list(pool.map(lambda each: _entry(bucket, root, each, begins_at), folders.pop(folder)))
    except OSError as error:
        raise EdgeaudioError(f"{root}: cannot be looked into: {error.strerror or error}") from None


def _entry(bucket: Bucket, root: str, found: Stored, begins_at: BeginsAt) -> Recording | LeftOut:
    """Return what an object is, by its name and its head. Raises OSError where the whole server is away or busy."""
    try:
        beginning = bucket.head(found.name, HEAD_BYTES)
    except OSError as error:
        if error.errno in _OF_THE_SERVER:
            raise
        return LeftOut(found.name, error.strerror or str(error))
    with tempfile.NamedTemporaryFile(suffix=PurePosixPath(found.name).suffix) as head:
        head.write(beginning)
        head.flush()
        try:
            begins = begins_at(found.name, Path(head.name))
        except EdgeaudioError as error:
            return LeftOut(found.name, str(error))
        length = length_of(Path(head.name), found.size_bytes)
    return Recording(found.name, root, found.size_bytes, found.changed_ns, begins, length)
