"""A film that goes into a file.

Owns: the words for what can go wrong with it. Does not know: encoders, containers, how the disk is written.
"""

from __future__ import annotations

import logging
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from edgeaudio.film.disk_file import DiskFile, StalledDiskError, open_new
from edgeaudio.film.errors import FilmError
from edgeaudio.media.film_form import FilmAudio, FilmFormat, FilmWriterError, PictureForm, Plane, SoundForm
from edgeaudio.media.film_writer import CONTAINERS, DEFAULT_AUDIO, FilmWriter
from edgeaudio.types import Samples

_log = logging.getLogger(__name__)


class FileOutput:
    """A FilmOutput that is a file. Whatever ends it, what was written so far can be played."""

    def __init__(
        self,
        path: Path,
        film_format: FilmFormat,
        *,
        audio: FilmAudio | None = None,
        bit_rate: int | None = None,
        overwrite: bool = False,
        threads: int = 1,
    ) -> None:
        """Make the file. Raises FilmError; no file is left where it cannot hold the film."""
        container = CONTAINERS.get(path.suffix.lower())
        if container is None:
            raise FilmError(f"{path}: the end of a film's name gives its format: {', '.join(CONTAINERS)}")
        sound = SoundForm.of(audio or DEFAULT_AUDIO[container], film_format)
        self._path = path
        self._failed = False
        try:
            self._file = DiskFile(open_new(path, overwrite=overwrite))
        except FileExistsError:
            raise FilmError(f"{path} exists; replace it with --overwrite, or name another file") from None
        except OSError as error:
            raise FilmError(f"{path} cannot be written: {error.strerror}") from None
        try:
            self._writer = FilmWriter(
                self._file, container, film_format, sound, PictureForm(bit_rate=bit_rate), threads=threads
            )
        except (OSError, EdgeaudioError) as error:
            self._file.abandon()
            path.unlink(missing_ok=True)
            raise self._failure(error) from None
        if lost := sound.losses(film_format):
            advice = (
                "choose one with --channel"
                if sound.codec == "flac"
                else "write a .mkv file with FLAC to keep all of it"
            )
            _log.warning("%s: %s; %s", path, lost, advice)

    def picture(self, number: int, planes: tuple[Plane, Plane, Plane]) -> None:
        """As FilmOutput.picture."""
        try:
            self._writer.picture(number, planes)
        except (OSError, FilmWriterError) as error:
            raise self._failure(error) from None

    def sound(self, position: int, samples: Samples) -> None:
        """As FilmOutput.sound."""
        try:
            self._writer.sound(position, samples)
        except (OSError, FilmWriterError) as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """Finish the file; after a failure, leave it as it is."""
        if self._failed:
            self._writer.abort()
            self._file.abandon()
            return
        try:
            self._writer.close()
            self._file.close()
        except (OSError, FilmWriterError) as error:
            self._file.abandon()
            raise self._failure(error) from None
        if late := self._writer.encoder.late_samples:
            rate = self._writer.encoder.format.sample_rate
            _log.warning(
                "%s: %.1f s of sound came too late for its picture, and is not in the film", self._path, late / rate
            )

    def _failure(self, error: Exception) -> FilmError:
        self._failed = True
        if isinstance(error, StalledDiskError):
            return FilmError(f"{self._path}: {error.strerror}; what was written before plays")
        if isinstance(error, OSError):
            return FilmError(f"{self._path} cannot be written: {error.strerror}; what was written before plays")
        return FilmError(f"{self._path}: {error}")
