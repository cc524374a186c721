"""Where a film goes: a file, or an RTSP or RTMP server.

Owns: which target is which, and refusing what it cannot take. Does not know: what is in the picture, where sound
comes from.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Protocol

from edgeaudio.film.errors import FilmError
from edgeaudio.film.file_output import FileOutput
from edgeaudio.film.push_output import PushOutput
from edgeaudio.film.targets import push_target
from edgeaudio.media.film_encoder import H264_ENCODERS, VIDEO_ENCODERS
from edgeaudio.media.film_form import FilmAudio, FilmFormat, PictureForm, Plane, SoundForm
from edgeaudio.types import Samples

_log = logging.getLogger(__name__)

__all__ = ["FilmAudio", "FilmError", "FilmFormat", "FilmOutput", "Plane", "open_output"]


class FilmOutput(Protocol):
    """A film that is being written. Not safe for several threads.

    Planes and samples may be used again by the caller as soon as a call has returned. A push never blocks for long:
    what the server does not take in time is dropped, counted and logged. A file blocks until what was handed in is
    encoded. Every method raises FilmError if a file can no longer be written; then only `close` may follow.
    """

    def picture(self, number: int, planes: tuple[Plane, Plane, Plane]) -> None:
        """Show a picture from `number / frame_rate` seconds on: uint8 Y (h, w), U and V (h / 2, w / 2).

        Numbers grow, and may skip: the last picture stands.
        """
        ...

    def sound(self, position: int, samples: Samples) -> None:
        """Add samples, float32 (n, channels), clipped to [-1, 1]. `position` counts samples from the film's start.

        Positions grow; a hole between two calls is silence, so that time stays true.
        """
        ...

    def close(self) -> None:
        """Finish the file, or end the stream."""
        ...


def open_output(
    target: str,
    film_format: FilmFormat,
    *,
    audio: FilmAudio | None = None,
    bit_rate: int | None = None,
    overwrite: bool = False,
    wait: threading.Event | None = None,
) -> FilmOutput:
    """Return the output for a path, an rtsp:// or an rtmp:// address. Raises FilmError.

    `audio`: None is FLAC in Matroska, and AAC elsewhere. `bit_rate`: of the picture, bits a second; None leaves it to
    the picture. `overwrite`: a file may be there already, and is replaced. `wait`: of a film that loses nothing by it,
    as a recording's: returns once the server has taken the stream, or could not at first, or this is set.
    """
    server = push_target(target, audio)
    if server is not None:
        sound = SoundForm.of("aac", film_format, live=True)
        picture = PictureForm(bit_rate, bit_rate)  # to hold a limit costs x264 a fifth more
        if lost := sound.losses(film_format):
            _log.warning("%s: %s", server, lost)
        encoders = H264_ENCODERS if server.needs_h264 else VIDEO_ENCODERS
        output = PushOutput(server, film_format, sound, picture, encoders=encoders)
        if wait is not None:
            output.wait_open(wait)
        return output
    return FileOutput(Path(target), film_format, audio=audio, bit_rate=bit_rate, overwrite=overwrite)
