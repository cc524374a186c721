"""The picture of a clip: its spectrogram with the event marked, drawn while the clip is written.

Owns: where sound, gaps and event are in the picture, and why there is none. Does not know: files, when sound comes.
Importing it imports Pillow.
"""

from __future__ import annotations

from datetime import datetime

from edgeaudio.pictures.drawing import Mark
from edgeaudio.pictures.options import MESSAGE_BYTES, ImageFormat, PictureError, PictureOptions
from edgeaudio.pictures.picture import Picture
from edgeaudio.types import Samples

SUFFIXES: dict[ImageFormat, str] = {"jpeg": "jpg", "webp": "webp", "png": "png"}


class ClipPicture:
    """A picture that grows with its clip. Positions are samples of the clip, in which gaps have none."""

    def __init__(self, image_format: ImageFormat, sample_rate: int) -> None:
        self.suffix = SUFFIXES[image_format]
        self.failure = ""  # why there is no picture; empty: there is one
        self._sample_rate = sample_rate
        self._gaps: list[tuple[int, float]] = []  # position, and seconds lost in this gap and those before
        self.plot: tuple[float, float] | None = None  # of the time axis, once encoded; None: it has gaps, the file none
        self._picture = Picture(PictureOptions(image_format=image_format, max_bytes=MESSAGE_BYTES))

    def add_gap(self, position: int, lost_s: float) -> None:
        """Leave room for a gap before a sample; to be called in order, before the sound from there on is added."""
        self._gaps.append((position, lost_s + (self._gaps[-1][1] if self._gaps else 0.0)))

    def add(self, position: int, samples: Samples) -> None:
        """Add the samples from a position on."""
        if self.failure:
            return
        try:
            self._picture.add(samples, self._sample_rate, self._time_s(position))
        except PictureError as error:
            self.failure = str(error)

    def encoded(self, label: str, onset: int, offset: int | None, begin: datetime) -> bytes:
        """Return the file, whose axis has the local time; empty: see `failure`."""
        if self.failure:
            return b""
        mark = Mark(label, self._time_s(onset), None if offset is None else self._time_s(offset))
        try:
            file = self._picture.encoded(marks=[mark], begin=begin.astimezone())
        except PictureError as error:
            self.failure = str(error)
            return b""
        self.plot = None if self._gaps else self._picture.plot
        return file

    def _time_s(self, position: int) -> float:
        """Return the time of a sample since the clip's beginning."""
        lost_s = next((lost_s for at, lost_s in reversed(self._gaps) if at <= position), 0.0)
        return position / self._sample_rate + lost_s
