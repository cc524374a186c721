"""Limit on single allocations of FFmpeg.

FFmpeg allocates what a length field announces before it reads anything: a file of 66 kB can claim a title of 800 MB,
which is more than a small board has. FFmpeg's own limit is 2 GB.
"""

from __future__ import annotations

import ctypes
import functools
import logging

import av.container.core

_log = logging.getLogger(__name__)

# the largest allocation of a recording is an MP4's index: 24 bytes a packet, 97 MB for a day of AAC at 48 kHz
MAX_BYTES = 1 << 27


@functools.cache
def bound_allocations() -> None:
    """Limit every single allocation of FFmpeg to MAX_BYTES, in the whole process, from now on."""
    try:
        # the handle of a library resolves names in those that it is linked with, such as libavutil
        set_largest = ctypes.CDLL(av.container.core.__file__).av_max_alloc
    except (OSError, AttributeError):
        _log.warning("this build of PyAV does not let FFmpeg's allocations be bounded: a hostile file may take 2 GB")
        return
    set_largest.argtypes, set_largest.restype = [ctypes.c_size_t], None
    set_largest(MAX_BYTES)
