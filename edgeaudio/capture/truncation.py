"""Detection of recordings that are not heard whole, or whose header is wrong about their length.

A file ends before the sound that its header or index announces; or a WAV has more sound than its header does: its
writer was ended, or its bytes were more than 32 bits can say.

Owns: the announced end of the sound, for the formats that give it to the byte.
Does not know: how the recording was read.

Bytes are compared, not seconds: the picture of a film may be longer than its sound, and a byte rate may be wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from av.audio.stream import AudioStream

# encoders round up to whole frames, announced or not
_TOLERANCE_S = 0.25
_XING_BYTES = 64  # of the first frame of an MP3: the header is behind at most 36, and has 16 that matter
_MAX_CHUNKS = 256  # of a file before its sound
# a writer that cannot seek back leaves the largest number of the field, or one slightly smaller: sox 0x7ffff000
_OPEN_ENDS = (1 << 31, 1 << 32, 1 << 63, 1 << 64)
_OPEN_END_BYTES = 1 << 16


def cut_off(path: Path, container: str, track: AudioStream, heard_s: float) -> str | None:
    """Return how much of a recording was not heard at its end, in words; None if nothing is known to be missing."""
    total_s = float(track.duration * track.time_base) if track.duration and track.time_base else 0.0
    if container != "flac":  # FLAC gives its length in samples, not in bytes
        try:
            size = path.stat().st_size
            if container.startswith("mov,"):
                total_s = total_s if _index_end(track) > size else 0.0
            else:
                total_s = heard_s * _longer(path, container, size)
                more_s = heard_s * _unannounced(path, size) if container == "wav" else 0.0
                if more_s > _TOLERANCE_S:
                    return f"announces {heard_s:.1f} s in its header, and {more_s:.1f} s more follow unheard"
        except (OSError, struct.error, ValueError, OverflowError, LookupError):
            return None
    return f"cut off after {heard_s:.1f} s of {total_s:.1f} s" if total_s - heard_s > _TOLERANCE_S else None


def _index_end(track: AudioStream) -> int:
    """Return the end of a track in the file's index, in bytes."""
    entries = track.index_entries
    last = entries[len(entries) - 1]
    return last.pos + last.size


def _longer(path: Path, container: str, size: int) -> float:
    """Return announced bytes of sound over those in the file; 1 if the file is complete."""
    with path.open("rb") as file:
        begin, end = _EXTENTS[container](file)
    unknown = any(0 <= limit - (end - begin) <= _OPEN_END_BYTES for limit in _OPEN_ENDS)
    return 1.0 if unknown or not begin < size < end else (end - begin) / (size - begin)


def _unannounced(path: Path, size: int) -> float:
    """Return what follows the announced sound of WAV over that, in bytes; 0 if it is no sound, or nothing."""
    with path.open("rb") as file:
        begin, end = _riff(file)
        if not begin < end < size - 9:  # a chunk's head, and a byte that pads
            return 0.0
        file.seek(end + (end - begin) % 2)
        name, length = struct.unpack("<4sI", file.read(8))
    is_chunk = all(0x20 <= byte < 0x7F for byte in name) and end + length <= size
    is_padding = name == bytes(4)  # of a file that was written in clusters
    return 0.0 if is_chunk or is_padding else (size - end) / (end - begin)


def _riff(file: BinaryIO) -> tuple[int, int]:
    form = file.read(12)[:4]
    endless = form in {b"RF64", b"BW64"}  # the chunk's own size is a mark, and the true one is in ds64
    long_size = 0
    for name, size in _chunks(file, "<4sI", pad=2):
        if name == b"ds64":
            long_size = struct.unpack("<8xQ", file.read(16))[0]
        elif name == b"data":
            return _from_here(file, long_size if endless else size)
    raise LookupError


def _aiff(file: BinaryIO) -> tuple[int, int]:
    file.seek(12)
    for name, size in _chunks(file, ">4sI", pad=2):
        if name == b"SSND":
            return _from_here(file, size)
    raise LookupError


def _wave64(file: BinaryIO) -> tuple[int, int]:
    file.seek(40)  # a GUID and a length, and the GUID of what follows
    for name, size in _chunks(file, "<16sQ", pad=8, counts_head=True):
        if name.startswith(b"data"):
            return _from_here(file, size)
    raise LookupError


def _caf(file: BinaryIO) -> tuple[int, int]:
    file.seek(8)
    for name, size in _chunks(file, ">4sQ", pad=1):
        if name == b"data":
            return _from_here(file, size)
    raise LookupError


def _au(file: BinaryIO) -> tuple[int, int]:
    begin, size = struct.unpack(">4xII", file.read(12))
    file.seek(begin)
    return _from_here(file, size)


def _mp3(file: BinaryIO) -> tuple[int, int]:
    """Return what a Xing header says, as encoders write it into the first frame, with the file's bytes."""
    head = file.read(10)
    begin = 0
    if head[:3] == b"ID3":  # ID3v2: a length of seven bits a byte
        begin = 10 + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(head[6:])))
    file.seek(begin)
    frame = file.read(_XING_BYTES)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0:
        raise LookupError
    (flags,) = struct.unpack_from(">I", frame, at + 4)
    if not flags & 2:  # the number of bytes, which follows that of frames
        raise LookupError
    (size,) = struct.unpack_from(">I", frame, at + (12 if flags & 1 else 8))
    return begin, size  # some encoders count what is before that frame: only what is missing either way is


_EXTENTS = {"wav": _riff, "aiff": _aiff, "w64": _wave64, "caf": _caf, "au": _au, "mp3": _mp3}


def _from_here(file: BinaryIO, size: int) -> tuple[int, int]:
    begin = file.tell()
    return begin, begin + size


def _chunks(file: BinaryIO, head: str, *, pad: int, counts_head: bool = False) -> Iterator[tuple[bytes, int]]:
    """Yield name and length of each chunk, with the file at its content. Raises struct.error at the file's end."""
    length = struct.calcsize(head)
    for _ in range(_MAX_CHUNKS):
        name, size = struct.unpack(head, file.read(length))
        size -= length if counts_head else 0
        content = file.tell()
        yield name, size
        file.seek(content + max(0, size) + -size % pad)
