"""The sound of a clip, copied as it is or decoded to WAV.

Owns: the refusal of sound that is not what its record says. Does not know: where it goes.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import wave
from collections.abc import Iterator
from datetime import UTC, datetime
from io import FileIO
from typing import BinaryIO

import numpy as np

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.clips.library import Clip
from edgeaudio.errors import EdgeaudioError
from edgeaudio.types import Samples

SLACK_S = 0.02  # a frame of Opus
MAX_WAV_BYTES = (1 << 32) - 4096  # its lengths have 32 bits
_FULL_SCALE = 1 << 23  # of 24 bits, which hold a sample of 16 or of 24 bits as it is
_SAMPLE_BYTES = 3
_PIECE_BYTES = 1 << 20
_MEDIA_START = datetime(1970, 1, 1, tzinfo=UTC)  # of a recording, whose own times matter to nobody here


class ClipSoundError(EdgeaudioError):
    """The sound of a clip is gone, cannot be read, or is not what the record says."""


def copy_sound(clip: Clip, file: BinaryIO) -> int:
    """Write the file as it is; return its samples of a channel. Raises ClipSoundError, and OSError of the writing."""
    with _opened(clip) as sound:
        file.writelines(_pieces(clip, sound))
    return clip.record.sound.count


def write_wav(clip: Clip, file: BinaryIO, stop: threading.Event) -> int:
    """Write the sound as WAV of 24 bits, its rate and channels as they are; return its samples of a channel.

    The header is the plain one, which programs for WAV know best: FFmpeg writes the extensible one for 24 bits.

    Raises ClipSoundError, OSError of the writing, and StoppedError soon after `stop` is set.
    """
    sound = clip.record.sound
    frame_bytes = _SAMPLE_BYTES * sound.channels
    if sound.count * frame_bytes > MAX_WAV_BYTES:
        raise ClipSoundError(f"{clip.sound}: is too long for WAV; export it as it is")
    _opened(clip).close()  # FFmpeg would wait for a pipe, follow a link, and decode what is left of a cut file
    most = sound.count + round(SLACK_S * sound.sample_rate)
    count = 0
    with wave.open(file, "wb") as out:
        out.setparams((sound.channels, _SAMPLE_BYTES, sound.sample_rate, 0, "NONE", ""))
        for samples in _decoded(clip, stop):
            count += len(samples)
            if count > most:
                break
            out.writeframes(_pcm(samples))
    if abs(count - sound.count) > most - sound.count:
        raise ClipSoundError(f"{clip.sound}: has another length than its record says, which is {sound.count} samples")
    return count


def _decoded(clip: Clip, stop: threading.Event) -> Iterator[Samples]:
    """Yield the samples `(n,)` or `(n, channels)`. Raises ClipSoundError, StoppedError."""
    sound = clip.record.sound
    config = SourceConfig(name="clip", url=str(clip.sound.absolute()))
    try:
        with open_source(config, stop, media_start=_MEDIA_START) as connection:
            for block in connection:
                channels = block.n_channels
                if (block.sample_rate, channels) != (sound.sample_rate, sound.channels):
                    raise ClipSoundError(
                        f"{clip.sound}: has {_form(block.sample_rate, channels)}, and its record says "
                        f"{_form(sound.sample_rate, sound.channels)}"
                    )
                yield block.samples
    except SourceError as error:
        raise ClipSoundError(f"{clip.sound}: {error.explanation}") from None


def _form(sample_rate: int, channels: int) -> str:
    return f"{channels} channel{'s' if channels != 1 else ''} at {sample_rate} Hz"


def _pcm(samples: Samples) -> bytes:
    """Return samples from -1 to 1 as little-endian PCM of 24 bits, interleaved."""
    values = np.clip(np.rint(samples.astype(np.float64) * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
    octets = np.ascontiguousarray(values.astype("<i4")).reshape(-1, 1).view(np.uint8)
    return octets[:, :_SAMPLE_BYTES].tobytes()


def _opened(clip: Clip) -> FileIO:
    """Return the file, open, if it is one and has the length that it should. Raises ClipSoundError."""
    try:
        file = FileIO(os.open(clip.sound, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC))
        found = os.fstat(file.fileno())
    except OSError as error:
        reason = "a link is not followed" if error.errno == errno.ELOOP else error.strerror or error
        raise ClipSoundError(f"{clip.sound}: cannot be read: {reason}") from None
    wanted_bytes = clip.record.sound.bytes
    if stat.S_ISREG(found.st_mode) and found.st_size == wanted_bytes:
        return file
    file.close()
    if stat.S_ISREG(found.st_mode):
        raise ClipSoundError(f"{clip.sound}: has {found.st_size} bytes, and its record says {wanted_bytes}")
    raise ClipSoundError(f"{clip.sound}: is no regular file")


def _pieces(clip: Clip, file: FileIO) -> Iterator[bytes]:
    """Yield the rest of the file. Raises ClipSoundError."""
    try:
        while piece := file.read(_PIECE_BYTES):
            yield piece
    except OSError as error:
        raise ClipSoundError(f"{clip.sound}: cannot be read: {error.strerror or error}") from None
