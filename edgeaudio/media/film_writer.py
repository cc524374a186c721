"""Film files: H.264 and FLAC or AAC in Matroska or MP4, that play wherever writing was cut off.

Owns: the container. Does not know: how pictures and sound are encoded (film_encoder.py), where the bytes lie.

An MP4 is written in fragments: without them, one that was not completed cannot be played at all. Matroska is written
in clusters of a second; one that was not completed lacks its index, and plays.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, Literal, Protocol

import av
from av.packet import Packet

from edgeaudio.media.film_encoder import VIDEO_ENCODERS, FilmEncoder
from edgeaudio.media.film_form import FilmAudio, FilmFormat, FilmWriterError, PictureForm, Plane, SoundForm
from edgeaudio.types import Samples

Container = Literal["matroska", "mp4"]
CONTAINERS: Final[dict[str, Container]] = {".mkv": "matroska", ".mka": "matroska", ".mp4": "mp4", ".m4v": "mp4"}
DEFAULT_AUDIO: Final[dict[Container, FilmAudio]] = {"matroska": "flac", "mp4": "aac"}
_OPTIONS: Final[dict[Container, dict[str, str]]] = {
    "matroska": {"cluster_time_limit": "1000"},
    "mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof+delay_moov"},
}


class Sink(Protocol):
    """Where the bytes go."""

    error: OSError | None  # the first, which FFmpeg turns into one of its own

    def write(self, data: bytes) -> int: ...
    def seek(self, offset: int, whence: int = 0) -> int: ...
    def tell(self) -> int: ...


class FilmWriter:
    """One film that grows. Not safe for several threads.

    Every method raises OSError if the sink fails, and FilmWriterError if FFmpeg cannot encode; then nothing but `abort`
    may be called.
    """

    def __init__(
        self,
        sink: Sink,
        container: Container,
        film_format: FilmFormat,
        sound: SoundForm,
        picture: PictureForm | None = None,
        *,
        encoders: Iterable[str] = VIDEO_ENCODERS,
        threads: int = 1,
    ) -> None:
        self._sink = sink
        self._container = av.open(sink, "w", format=container, container_options=_OPTIONS[container])
        try:
            self.encoder = FilmEncoder(
                film_format, sound, picture, encoders=encoders, threads=threads, container=self._container
            )
        except (FilmWriterError, av.FFmpegError, ValueError) as error:
            raise sink.error or FilmWriterError(f"{container} cannot hold this film: {error}") from None

    def picture(self, number: int, planes: tuple[Plane, Plane, Plane]) -> None:
        """As FilmEncoder.picture."""
        self._mux(self.encoder.picture(number, planes))

    def sound(self, position: int, samples: Samples) -> None:
        """As FilmEncoder.sound."""
        self._mux(self.encoder.sound(position, samples))

    def close(self) -> None:
        """Complete the film. The sink stays open."""
        self._mux(self.encoder.flush())
        try:
            self._container.close()
        except (av.FFmpegError, ValueError) as error:
            raise self._sink.error or FilmWriterError(f"the film cannot be completed: {error}") from None
        self._raise()

    def abort(self) -> None:
        """Give up, with what was written so far. Never raises."""
        with suppress(av.FFmpegError, OSError, ValueError):
            self._container.close()

    def _mux(self, packets: Iterable[Packet[Any]]) -> None:
        try:
            for packet in packets:
                self._container.mux(packet)
        except (av.FFmpegError, ValueError) as error:
            raise self._sink.error or FilmWriterError(f"the film cannot be written: {error}") from None
        self._raise()

    def _raise(self) -> None:
        if self._sink.error is not None:
            raise self._sink.error
