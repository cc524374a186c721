"""How long a recording is, by its first bytes, without decoding: WAV and FLAC, in which archives are kept.

Owns: their headers. Does not know: other formats, whose length is known once they are heard.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from edgeaudio.files import open_at_once

_HEAD_BYTES = 4096  # recorders write comments before the sound
WAVE_IDS = frozenset({b"RIFF", b"RF64", b"BW64"})
_OPEN_ENDS = (0, 0x7FFFF000, 0xFFFFFFFF)  # of a writer that could not seek back
_PLAIN = frozenset({0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE})  # integers, floats, A-law, mu-law: a frame is a sample
MOST_S = 400 * 86400.0  # what a header claims beyond that is damage


@dataclass(frozen=True, slots=True)
class Length:
    """Form and length of a recording, as its header has them."""

    n_samples: int  # of a channel
    sample_rate: int  # Hz
    channels: int
    frame_bytes: int  # of a sample of all channels, as it is in WAV

    @property
    def seconds(self) -> float:
        return self.n_samples / self.sample_rate

    @property
    def form(self) -> tuple[int, int]:
        """Sample rate and channels: sound of another form is not joined to it."""
        return self.sample_rate, self.channels


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A recording that ends where another begins, or begins where it ends."""

    source: str  # where it can be read
    length: Length
    identity: str  # hash of its size and time of change


@dataclass(frozen=True, slots=True)
class Wave:
    """Where things are in a WAV."""

    form_at: int  # the chunk `fmt `
    form_bytes: int  # of what is in it
    data_at: int  # the first sample
    length: Length


def length_of(path: Path, size_bytes: int) -> Length | None:
    """Return the length; None for other formats, damaged headers, and files that cannot be read."""
    try:
        descriptor = open_at_once(path)
    except OSError:
        return None
    try:
        head = os.pread(descriptor, _HEAD_BYTES, 0)
        if head[:4] in WAVE_IDS:
            in_head = len(head) - 32
            wave = wave_of(lambda at: head[at : at + 32] if at <= in_head else os.pread(descriptor, 32, at), size_bytes)
            return None if wave is None else wave.length
        return _flac(head) if head[:4] == b"fLaC" else None
    except (OSError, struct.error, ZeroDivisionError):
        return None
    finally:
        os.close(descriptor)


@lru_cache(maxsize=1000)
def _length(n_samples: int, sample_rate: int, channels: int, frame_bytes: int) -> Length | None:
    """Return one object for all recordings of one length: there may be 100,000. None for one that cannot be."""
    length = Length(n_samples, sample_rate, channels, frame_bytes)
    return length if length.seconds <= MOST_S else None


def wave_of(read: Callable[[int], bytes], size_bytes: int) -> Wave | None:
    """Return what is where in a WAV; None if the header says more than the file has: it is cut off.

    read: Returns 32 bytes from a position, or fewer at the end. Raises what `read` raises, and struct.error.
    """
    at, rate, channels, frame_bytes, wide_bytes, form_at, form_bytes = 12, 0, 0, 0, None, 0, 0
    for _ in range(32):
        chunk = read(at)
        name, size = struct.unpack_from("<4sI", chunk)
        if name == b"fmt ":
            form, channels, rate, _, frame_bytes = struct.unpack_from("<HHIIH", chunk, 8)
            if form not in _PLAIN:
                return None  # of blocks, as ADPCM
            form_at, form_bytes = at, size
        elif name == b"ds64":
            (wide_bytes,) = struct.unpack_from("<Q", chunk, 16)  # of the sound, in RF64 and BW64
        elif name == b"data":
            held = max(0, size_bytes - at - 8)
            n_bytes = held if size in _OPEN_ENDS else size
            if size == _OPEN_ENDS[-1] and wide_bytes:
                n_bytes = wide_bytes
            is_whole = n_bytes <= held and rate > 0 and channels > 0
            length = _length(n_bytes // frame_bytes, rate, channels, frame_bytes) if is_whole else None
            return None if length is None else Wave(form_at, form_bytes, at + 8, length)
        at += 8 + size + size % 2
    return None


def _flac(head: bytes) -> Length | None:
    """Return the length of FLAC (RFC 9639, 8.2): rate, channels, bits and samples in 64 bits."""
    (packed,) = struct.unpack_from(">Q", head, 18)
    rate, channels, n_samples = packed >> 44, (packed >> 41 & 7) + 1, packed & (1 << 36) - 1
    frame_bytes = ((packed >> 36 & 31) // 8 + 1) * channels
    return _length(n_samples, rate, channels, frame_bytes) if rate and n_samples else None
