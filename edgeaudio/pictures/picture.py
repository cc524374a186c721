"""The spectrogram of a sound as a file: samples in, JPEG, WebP or PNG out.

Owns: the order of the steps, the largest resolution that a picture may need, and the limit of its bytes.
Does not know: where samples come from, or where the file goes.

Memory is that of the picture, not of the sound: `Picture` takes it in pieces of any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeaudio.pictures.brightness import shades
from edgeaudio.pictures.canvas import require_pillow
from edgeaudio.pictures.drawing import Layout, Mark
from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.pictures.options import MAX_RATE, MIN_RATE, MIN_SIDE, ImageFormat, PictureError, PictureOptions
from edgeaudio.pictures.spectrogram import Spectrogram
from edgeaudio.pictures.ticks import Begin
from edgeaudio.types import Samples

_PIECE = 1 << 17  # samples that are worked on at a time
_SMALLER = 0.8  # each next size, where the lowest quality is still too large
# from the first on; of PNG the number of colours, 256: as drawn
_QUALITIES: dict[ImageFormat, tuple[int, ...]] = {
    "jpeg": (88, 75, 60, 45, 30),
    "webp": (85, 70, 55, 40, 25),
    "png": (256, 64, 24),
}


@dataclass(frozen=True, slots=True)
class Gap:
    """A piece that is missing before the sample `at`."""

    at: int
    lost_s: float


def draw(
    samples: Samples,
    sample_rate: int,
    options: PictureOptions | None = None,
    *,
    marks: Sequence[Mark] = (),
    gaps: Sequence[Gap] = (),
    begin: Begin = 0.0,
) -> bytes:
    """Return the picture of samples `(n,)` or `(n, channels)`, float32, which stay as they are.

    gaps: in their order; times of the picture and of its marks count them.
    begin: the picture's beginning on its axis: seconds of a recording, or an aware time, in whose zone it is shown.
    Raises PictureError.
    """
    _check_rate(sample_rate)
    expected_s = len(samples) / sample_rate + sum(max(0.0, gap.lost_s) for gap in gaps)
    picture = Picture(options, expected_s=expected_s)
    lost_s, first = 0.0, 0
    for gap in (*gaps, Gap(len(samples), 0.0)):
        for start in range(first, min(gap.at, len(samples)), _PIECE):
            piece = samples[start : min(start + _PIECE, gap.at)]
            picture.add(piece, sample_rate, start / sample_rate + lost_s)
        first = max(first, gap.at)
        lost_s += max(0.0, gap.lost_s)
    return picture.encoded(marks=marks, begin=begin)


class Picture:
    """A picture of sound that comes in pieces. Call `add` in order of time, then `encoded`."""

    def __init__(self, options: PictureOptions | None = None, *, expected_s: float | None = None) -> None:
        """`expected_s`: the length of the whole if it is known, which makes its columns exact. Raises PictureError."""
        require_pillow()
        self.options = PictureOptions() if options is None else options
        self._expected_s = expected_s
        self._spectrogram: Spectrogram | None = None
        self.plot: tuple[float, float] | None = None  # left and right edge of the time axis, as shares of the width

    @property
    def duration_s(self) -> float:
        """Time from the beginning to the end of the last sample."""
        return self._spectrogram.end_s if self._spectrogram else 0.0

    def add(self, samples: Samples, sample_rate: int, at_s: float) -> None:
        """Add samples `(n,)` or `(n, channels)` that begin at `at_s` of the picture; what is between is a gap.

        The highest frequency is that of the first format. Raises PictureError for a rate that cannot be drawn.
        """
        _check_rate(sample_rate)
        if self._spectrogram is None:
            options = self.options
            axis = FrequencyAxis(options.scale, sample_rate / 2)
            largest = Layout(options.width, options.height, options.palette, axis, ())
            self._spectrogram = Spectrogram(axis, largest.height, largest.width, self._expected_s)
        self._spectrogram.add(samples, sample_rate, at_s)

    def encoded(self, *, marks: Sequence[Mark] = (), begin: Begin = 0.0) -> bytes:
        """Return the picture as a file, within the limit of its bytes.

        Raises PictureError if there was no sound at all, or if not even a small picture is within the limit.
        """
        if self._spectrogram is None or not self.duration_s:
            raise PictureError("there is no sound to draw")
        self._spectrogram.finish()
        options = self.options
        width, height, most = options.width, options.height, options.max_bytes
        least = 0  # bytes of the smallest so far
        while min(width, height) >= MIN_SIDE:
            layout = Layout(width, height, options.palette, self._spectrogram.axis, marks)
            powers = self._spectrogram.powers(layout.height, layout.width)
            canvas = layout.draw(shades(powers, options.range_db, options.gain_db), self.duration_s, begin)
            self.plot = layout.x / width, (layout.x + layout.width - 1) / width
            for quality in _QUALITIES[options.image_format]:
                file = canvas.encoded(options.image_format, quality)
                if most is None or len(file) <= most:
                    return file
                least = len(file)
            width, height = round(width * _SMALLER), round(height * _SMALLER)
        raise PictureError(f"a {options.image_format} picture in {most} bytes: the smallest has {least}; allow more")


def _check_rate(sample_rate: int) -> None:
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise PictureError(f"a sample rate of {sample_rate} Hz: it is from {MIN_RATE} to {MAX_RATE} Hz")
