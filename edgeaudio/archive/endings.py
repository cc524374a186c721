"""The last sound of a WAV or FLAC as a file of its own, made of nothing but its first and last bytes.

Owns: where a sample lies in them. Does not know: why the end is wanted, how it is decoded.

The bytes of the sound are those of the recording, so that its samples are the same to the bit. Nothing is searched by
decoding: of a recording in a bucket only its ends are here.
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from typing import IO

from edgeaudio.archive.lengths import WAVE_IDS, Length, wave_of

HEAD_BYTES = 64 << 10  # in which header and comments of a recording are, if its end is to be found
_STREAMINFO_BYTES = 42  # of a FLAC, with its mark
_MOST_FRAME = 65_536  # samples of a channel
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_MARGIN_BYTES = 128 << 10  # of tags behind the sound, and of frames of which a part is wanted


def bytes_of(seconds: float, length: Length) -> int:
    """Return how many bytes hold so much sound at most, at either end of a recording, without its header."""
    samples = seconds * length.sample_rate + 2 * _MOST_FRAME
    return round(samples * length.frame_bytes * 1.01) + _MARGIN_BYTES


def ending(file: IO[bytes], first: int, length: Length) -> tuple[bytes, int] | None:
    """Return a recording that goes from a sample at or before `first` to the end, and the number of that sample.

    None if it cannot be made: the file is not what its header says. Raises OSError.
    """
    with suppress(struct.error):  # it is shorter than its header
        return _ending(file, first, length)
    return None


def _ending(file: IO[bytes], first: int, length: Length) -> tuple[bytes, int] | None:
    size = file.seek(0, 2)
    head = _read(file, 0, HEAD_BYTES)
    if head[:4] == b"fLaC":
        wanted = bytes_of((length.n_samples - first) / length.sample_rate, length)
        return _flac(head, _read(file, max(_STREAMINFO_BYTES, size - wanted), wanted), first)
    if head[:4] not in WAVE_IDS or (wave := wave_of(lambda at: _read(file, at, 32), size)) is None:
        return None
    at = wave.data_at + first * length.frame_bytes
    sound = _read(file, at, (length.n_samples - first) * length.frame_bytes)
    form = _read(file, wave.form_at, 8 + wave.form_bytes)
    body = b"WAVE" + form + bytes(len(form) % 2) + struct.pack("<4sI", b"data", len(sound)) + sound
    return struct.pack("<4sI", b"RIFF", len(body)) + body, first


def _read(file: IO[bytes], at: int, n_bytes: int) -> bytes:
    file.seek(at)
    return file.read(n_bytes)


def _flac(head: bytes, tail: bytes, first: int) -> tuple[bytes, int] | None:
    """Return the frames from the last one that begins at or before `first` (RFC 9639, 9.1), behind a header."""
    (frame_samples,) = struct.unpack_from(">H", head, 8)  # of all frames but the last, where they are of one size
    found: tuple[int, int] | None = None
    for sync in _SYNC.finditer(tail):
        at = sync.start()
        sample = _sample_of(tail[at : at + 16], frame_samples)
        if sample is not None and first - _MOST_FRAME < sample <= first and (found is None or sample > found[0]):
            found = sample, at
    if found is None:
        return None
    sample, at = found
    info = bytearray(head[:_STREAMINFO_BYTES])
    info[4] |= 0x80  # the last of the headers
    return bytes(info) + tail[at:], sample


def _sample_of(header: bytes, frame_samples: int) -> int | None:
    """Return the first sample of the frame that has this header; None if it is none."""
    if len(header) < 16:
        return None
    size, rate, is_reserved = header[2] >> 4, header[2] & 15, header[3] & 1
    if size == 0 or rate == 15 or header[3] >> 4 > 10 or is_reserved:
        return None
    n_more = next((n for n in range(8) if not header[4] & 0x80 >> n), 8)  # as UTF-8, with up to 36 bits
    if n_more in {1, 8}:
        return None
    number = header[4] & 0x7F >> n_more
    for each in header[5 : 4 + max(1, n_more)]:
        if each >> 6 != 2:
            return None
        number = number << 6 | each & 0x3F
    end = 4 + max(1, n_more) + {6: 1, 7: 2}.get(size, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if end >= len(header) or _crc8(header[:end]) != header[end]:
        return None
    return number if header[1] & 1 else number * frame_samples


def _crc8(content: bytes) -> int:
    """Return the check of a frame's header, by x^8 + x^2 + x + 1."""
    crc = 0
    for each in content:
        crc ^= each
        for _ in range(8):
            crc = (crc << 1) ^ 0x107 if crc & 0x80 else crc << 1
    return crc
