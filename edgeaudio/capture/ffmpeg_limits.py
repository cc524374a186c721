"""Bounds what a file or a stream can make FFmpeg allocate at once.

Owns: the one call into FFmpeg that PyAV has no name for. Does not know: what is read.

A length field in a file's header is believed before anything is read: 66 kB that call themselves
800 MB of title take 800 MB, which is more than a small board has. FFmpeg has a bound for that, of
2 GB.
"""

from __future__ import annotations

import ctypes
import functools
import logging

import av.container.core

_log = logging.getLogger(__name__)

# the largest that a recording needs is the index of an MP4 file: 24 bytes a packet, a day of AAC at 48 kHz in 97 MB
MAX_BYTES = 1 << 27


@functools.cache
def bound_allocations() -> None:
    """Let no single allocation of FFmpeg's be larger than MAX_BYTES, in the whole process, from now on."""
    try:
        # a library's handle finds the names of those it was linked with, libavutil among them
        set_largest = ctypes.CDLL(av.container.core.__file__).av_max_alloc
    except (OSError, AttributeError):
        _log.warning("this build of PyAV does not let FFmpeg's allocations be bounded: a hostile file may take 2 GB")
        return
    set_largest.argtypes, set_largest.restype = [ctypes.c_size_t], None
    set_largest(MAX_BYTES)
