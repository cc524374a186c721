"""What recorders write beside the sound: RIFF chunks of WAV files, and metadata blocks of FLAC files.

Owns: walking a file from header to header with bounded reads, past sizes that lie. The sound itself is never read.
Does not know: what the chunks say.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

MAX_CHUNKS = 4096  # looked at in one file; recorders write fewer than ten
MAX_BYTES = 1 << 16  # read of one chunk, from its beginning; AudioMoth's comment has 384, GUANO about 1,000
MAX_TOTAL_BYTES = 1 << 20  # read of all chunks of one file
_RIFF_FORMS = frozenset({b"RIFF", b"RF64", b"BW64"})
_COMMON = frozenset({b"fmt ", b"fact", b"data", b"LIST", b"bext", b"guan", b"wamd"})
_UNKNOWN = 0xFFFFFFFF  # as a chunk's size: in RF64 and BW64 the size is in ds64; in RIFF the writer never came back
_VORBIS_COMMENT, _APPLICATION = 4, 2  # FLAC's types of blocks (RFC 9639, 8.1)

Chunk = tuple[bytes, bytes]
VORBIS_COMMENT: Final = b"vorbis comment"


def read_chunks(file: BinaryIO, wanted: frozenset[bytes]) -> Iterator[Chunk]:
    """Yield the chunks of a WAV or FLAC file whose id is wanted, in its order: id and content, at most MAX_BYTES of it.

    Of a FLAC file they are the RIFF chunks that `flac --keep-foreign-metadata` kept, and VORBIS_COMMENT. Another or a
    damaged file yields what can be found. `file` is seekable; it may raise OSError.
    """
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    found: Iterator[Chunk] = iter(())
    if head[:4] in _RIFF_FORMS and head[8:12] == b"WAVE":
        found = _riff(file, end, wanted)
    elif head[:4] == b"fLaC":
        found = _flac(file, wanted)
    left = MAX_TOTAL_BYTES
    for name, content in found:
        yield name, content
        left -= len(content)
        if left <= 0:
            return


def info_items(content: bytes) -> dict[bytes, bytes]:
    """Return the items of a LIST chunk's content by their ids, empty if it is no INFO list; the first of two counts."""
    items: dict[bytes, bytes] = {}
    at = 4 if content[:4] == b"INFO" else len(content)
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        items.setdefault(name, content[at + 8 : at + 8 + size])
        at += 8 + size + (size & 1)
    return items


def vorbis_comments(content: bytes) -> dict[str, str]:
    """Return the fields of a Vorbis comment by their names in capitals (RFC 9639, 8.6); the first of two counts."""
    fields: dict[str, str] = {}
    at = 0
    texts: list[bytes] = []
    for _ in range(2):  # the vendor, then how many fields there are
        if at + 4 > len(content):
            return fields
        (size,) = struct.unpack_from("<I", content, at)
        at += 4 + (0 if texts else size)
        texts.append(b"")
    while at + 4 <= len(content):
        (size,) = struct.unpack_from("<I", content, at)
        name, found, text = content[at + 4 : at + 4 + size].decode("utf-8", "replace").partition("=")
        if found:
            fields.setdefault(name.upper(), text)
        at += 4 + size
    return fields


def _riff(file: BinaryIO, end: int, wanted: frozenset[bytes]) -> Iterator[Chunk]:
    at, data_size = 12, _UNKNOWN
    for _ in range(MAX_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or not _is_id(head[:4]):
            return
        name, size = struct.unpack_from("<4sI", head)
        if name == b"data" and size == _UNKNOWN:
            size = data_size
        if name in wanted or name == b"ds64":
            file.seek(at + 8)
            content = file.read(min(size, MAX_BYTES))
            if name == b"ds64" and len(content) >= 16:
                (data_size,) = struct.unpack_from("<Q", content, 8)  # after the size of all
            elif name in wanted:
                yield name, content
        at += 8 + size
        if at >= end:
            return
        at += size & 1 and _padded(file, at)


def _padded(file: BinaryIO, at: int) -> int:
    """Return 1 if a pad byte is at the end of an odd chunk, as must be; 0 if the writer left it out."""
    file.seek(at)
    return 0 if file.read(4) in _COMMON else 1


def _is_id(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name)


def _flac(file: BinaryIO, wanted: frozenset[bytes]) -> Iterator[Chunk]:
    at = 4
    for _ in range(MAX_CHUNKS):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] & 0x7F == 0x7F:  # a block of type 127 is none: the frames have begun
            return
        kind, size = head[0] & 0x7F, int.from_bytes(head[1:], "big")
        if kind == _VORBIS_COMMENT and VORBIS_COMMENT in wanted:
            yield VORBIS_COMMENT, file.read(min(size, MAX_BYTES))
        elif kind == _APPLICATION:
            inner = file.read(12)
            if size >= 12 and inner[:4] == b"riff" and inner[4:8] in wanted and len(inner) == 12:
                (length,) = struct.unpack_from("<I", inner, 8)
                yield inner[4:8], file.read(min(length, size - 12, MAX_BYTES))
        if head[0] & 0x80:  # the last one
            return
        at += 4 + size
