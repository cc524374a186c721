"""Whether what was opened is a recording or live, and where a recording's time begins.

Owns: the evidence for both. Does not know: how either is read.
"""

from __future__ import annotations

import struct
from pathlib import Path

from av.container.input import InputContainer

from edgeaudio.capture.pipe import kind_of
from edgeaudio.capture.source_urls import SourceUrl

# servers of live sound that must name a length name one that nobody reaches
_MAX_BYTES = 0x7FFF0000
_MAX_BOXES = 32


def is_recording(container: InputContainer, address: SourceUrl, *, is_live: bool | None = None) -> bool:
    """Whether the sound has an end that is known: a file, a body with a length, a closed HLS list.

    The scheme does not tell: what comes by HTTP may be either. `is_live` is what its answers say; None: nothing.
    """
    if not address.is_http:
        return address.path is not None
    if is_live:
        return False
    if "hls" in container.format.name:
        return bool(container.duration)
    return 0 < (container.size or 0) < _MAX_BYTES  # PyAV 19 knows of none


def zero_s(container: InputContainer, path: Path | None) -> float | None:
    """The timestamp at which a recording begins, in s; None: at that of its first sound.

    Of a recording with pictures it is theirs, if they come first. An MP4 or MOV file begins at 0, even if its only
    track comes later; but one that is made of fragments may be a piece of something longer.
    """
    start: int | None = container.start_time  # PyAV's types do not know of none
    if start is None:
        return None
    if path is not None and container.format.name.startswith("mov,") and not _is_fragmented(path):
        return 0.0
    return start / 1_000_000


def _is_fragmented(path: Path) -> bool:
    if kind_of(path) is not None:
        return True  # only then can FFmpeg read it from a pipe, of which what is looked at would be lost
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
