"""Copies of clips as WAV, for browsers that cannot play the original.

Owns: the process that decodes, its time limit, and the few copies that are kept open. Does not know: HTTP, FFmpeg
(decoder.py).

A player asks for a copy in several pieces, so the latest few are kept: as files without a name, which go with their
descriptors.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

from edgeaudio.dashboard.media.archive import OpenMedium
from edgeaudio.dashboard.media.wire import BY_SUFFIX

MAX_COPY_BYTES: Final = 64_000_000  # 5 min of stereo
MAX_KEPT_BYTES: Final = 64_000_000
MAX_FAILED: Final = 1_000
LIMIT_S: Final = 30.0
# what Python needs to be found: secrets may be in the rest
_ENVIRONMENT: Final = ("PATH", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
_DEMUXERS: Final = {"opus": "ogg", "flac": "flac", "wav": "wav"}  # by suffix
_FAULTS: Final = {4: "it is too long for a copy: download the original"}
_DAMAGED: Final = "it cannot be decoded: it is damaged, or no sound"


class CopyError(Exception):
    """There is no copy; one line."""


class WavCopies:
    """Makes copies, one at a time, and keeps the latest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, OpenMedium] = OrderedDict()  # by the original's version, the oldest first
        self._failed: OrderedDict[str, str] = OrderedDict()  # why there is none, likewise

    def get(self, clip: OpenMedium) -> OpenMedium:
        """Return the copy of a clip, open; the caller closes it, and the clip. Raises CopyError."""
        with self._lock:
            if clip.version in self._failed:
                raise CopyError(self._failed[clip.version])
            copy = self._kept.get(clip.version)
            if copy is None:
                copy = self._made(clip)
                self._keep(clip.version, copy)
            self._kept.move_to_end(clip.version)
            return OpenMedium(os.dup(copy.descriptor), copy.bytes, copy.type, copy.version)

    def close(self) -> None:
        with self._lock:
            while self._kept:
                os.close(self._kept.popitem()[1].descriptor)

    def _keep(self, version: str, copy: OpenMedium) -> None:
        while self._kept and sum(kept.bytes for kept in self._kept.values()) + copy.bytes > MAX_KEPT_BYTES:
            os.close(self._kept.popitem(last=False)[1].descriptor)
        self._kept[version] = copy

    def _failure(self, clip: OpenMedium, why: str) -> CopyError:
        """Remember why a clip has no copy: it will not have one the next time."""
        self._failed[clip.version] = why
        if len(self._failed) > MAX_FAILED:
            self._failed.popitem(last=False)
        return CopyError(why)

    def _made(self, clip: OpenMedium) -> OpenMedium:
        module = "edgeaudio.dashboard.media.decoder"
        command = [sys.executable, "-m", module, _DEMUXERS[clip.type.suffix], str(MAX_COPY_BYTES)]
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                os.lseek(clip.descriptor, 0, os.SEEK_SET)
                done = subprocess.run(  # noqa: S603 (a module of this package, and words of this one)
                    command,
                    stdin=clip.descriptor,
                    stdout=file,
                    stderr=subprocess.DEVNULL,
                    timeout=LIMIT_S,
                    check=False,
                    env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                )
                if done.returncode:
                    raise self._failure(clip, _FAULTS.get(done.returncode, _DAMAGED))
                n_bytes = os.fstat(file.fileno()).st_size
                return OpenMedium(os.dup(file.fileno()), n_bytes, BY_SUFFIX["wav"], f"{clip.version}-wav")
        except subprocess.TimeoutExpired:
            raise self._failure(clip, f"it was not decoded within {LIMIT_S:g} s") from None
        except OSError as error:
            raise CopyError(f"there is no room for a copy: {error.strerror}") from None
