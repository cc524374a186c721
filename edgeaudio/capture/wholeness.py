"""Whether a recording was heard to its end, or breaks off before it.

Owns: knowing which files tell their true length, and reading it where FFmpeg glosses over it.
Does not know: how the recording was read.
"""

from __future__ import annotations

import struct
from pathlib import Path

# FFmpeg takes the length of these from their header; other formats estimate it
_EXACT_LENGTH = {"w64", "aiff", "au", "caf", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "wav"}
# encoders round up to whole frames and say so, or not
_TOLERANCE_S = 0.25
_MAX_CHUNKS = 64  # of a WAV file before its sound


def cut_off(path: Path, container: str, duration_s: float | None, heard_s: float) -> str | None:
    """What is missing at the end of a recording, in words; None where nothing is known to be."""
    if container == "wav":
        # for a short file FFmpeg takes the length that is left, and calls that the duration
        duration_s = _wav_length_s(path) or duration_s
    if container not in _EXACT_LENGTH or duration_s is None or heard_s >= duration_s - _TOLERANCE_S:
        return None
    return f"cut off after {heard_s:.1f} s of {duration_s:.1f} s"


def _wav_length_s(path: Path) -> float | None:
    """Seconds of sound by the header of a WAV file; None where it does not say."""
    try:
        with path.open("rb") as file:
            if file.read(12)[:4] != b"RIFF":
                return None
            bytes_per_s = 0
            for _ in range(_MAX_CHUNKS):
                name, size = struct.unpack("<4sI", file.read(8))
                if name == b"data":
                    # a recorder that could not seek back leaves 0 or the largest number
                    return size / bytes_per_s if bytes_per_s and 0 < size < 0xFFFFF000 else None
                if name == b"fmt ":
                    bytes_per_s = struct.unpack("<8xI", file.read(12))[0]
                    size -= 12
                file.seek(size + size % 2, 1)
    except (OSError, struct.error):
        pass
    return None
