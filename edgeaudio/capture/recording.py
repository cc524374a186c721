"""Detection of recordings among opened sources, and the start of their time."""

from __future__ import annotations

import struct
from pathlib import Path

from av.container.input import InputContainer

from edgeaudio.capture.pipe import kind_of
from edgeaudio.capture.source_urls import SourceUrl

# a server of live sound that must give a length gives one that is never reached
_MAX_BYTES = 0x7FFF0000
_MAX_BOXES = 32


def is_recording(container: InputContainer, address: SourceUrl, *, is_live: bool | None = None) -> bool:
    """True if the sound has a known end: a file, a body with a length, a closed HLS playlist.

    `is_live`: what the answers of HTTP, which may bring either, have shown; None: nothing.
    """
    if not address.is_http:
        return address.path is not None
    if is_live:
        return False
    if "hls" in container.format.name:
        return bool(container.duration)
    return 0 < (container.size or 0) < _MAX_BYTES  # PyAV 19 returns None


def zero_s(container: InputContainer, path: Path | None) -> float | None:
    """Return the timestamp at which a recording begins, in s; None: that of its first sound.

    Pictures that come before the sound count. An MP4 or MOV file begins at 0, even if its only track begins later; but
    one made of fragments may be a part of a longer recording.
    """
    start: int | None = container.start_time  # None at times, which PyAV's types do not express
    if start is None:
        return None
    if path is not None and container.format.name.startswith("mov,") and not _is_fragmented(path):
        return 0.0
    return start / 1_000_000


def _is_fragmented(path: Path) -> bool:
    if kind_of(path) is not None:
        return True  # FFmpeg reads only those from a pipe, and bytes read here would be lost
    try:
        with path.open("rb") as file:
            for _ in range(_MAX_BOXES):
                size, name = struct.unpack(">I4s", file.read(8))
                head = 8
                if size == 1:
                    size, head = struct.unpack(">Q", file.read(8))[0], 16
                if name == b"moof" or size < head:
                    return bool(name == b"moof")
                file.seek(size - head, 1)
    except (OSError, OverflowError, ValueError, struct.error):
        pass
    return False
