"""How a film looks: its size, speed, colours and axes, and the bounds of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from edgeaudio.pictures.frequency_axis import FrequencyAxis, Scale
from edgeaudio.pictures.options import MAX_GAIN_DB, PictureError
from edgeaudio.pictures.palettes import PaletteName

MIN_SIDE, MAX_SIDE = 128, 4096
MAX_PIXELS = 3840 * 2160
MIN_RATE, MAX_RATE = 15, 60  # pictures a second
MIN_SECONDS, MAX_SECONDS = 1.0, 3600.0  # across the picture
MIN_ASPECT, MAX_ASPECT = 0.25, 10.0
_LEAST_BAND = 1.05  # from the lowest to the highest frequency, a ratio


@dataclass(frozen=True, slots=True)
class FilmLook:
    """How a film looks. Raises PictureError for a value out of bounds."""

    width: int = 1280  # pixels, even
    height: int = 720
    frame_rate: int = 30
    seconds: float = 10.0  # across the picture
    palette: PaletteName = "magma"
    scale: Scale = "linear"
    low_hz: float | None = None  # None: 0, or that of a logarithmic axis
    high_hz: float | None = None  # None: half the source's first sample rate
    range_db: float | None = None  # from full scale down to the darkest colour; None: automatic
    gain_db: float = 0.0  # brightens the picture
    aspect: float | None = None  # width by height of the picture between black bars; None: there are none
    title: str = ""  # any text
    has_marks: bool = True  # leaves room for detections

    def __post_init__(self) -> None:
        sides = (self.width, self.height)
        if not all(MIN_SIDE <= side <= MAX_SIDE for side in sides) or self.width * self.height > MAX_PIXELS:
            raise PictureError(
                f"a film of {self.width}x{self.height} pixels: a side has {MIN_SIDE} to {MAX_SIDE}, "
                "and the whole at most 3840x2160"
            )
        if any(side % 2 for side in sides):
            raise PictureError(f"a film of {self.width}x{self.height} pixels: both sides must be even")
        if not MIN_RATE <= self.frame_rate <= MAX_RATE:
            raise PictureError(f"{self.frame_rate} pictures a second: {MIN_RATE} to {MAX_RATE} are possible")
        if not MIN_SECONDS <= self.seconds <= MAX_SECONDS:
            raise PictureError(
                f"{self.seconds:g} s across the picture: {MIN_SECONDS:g} to {MAX_SECONDS:g} s are possible"
            )
        if self.range_db is not None and not 10 <= self.range_db <= 200:
            raise PictureError(f"a range of {self.range_db:g} dB: it is from 10 to 200 dB")
        if not -MAX_GAIN_DB <= self.gain_db <= MAX_GAIN_DB:
            raise PictureError(f"a gain of {self.gain_db:g} dB: it is from -{MAX_GAIN_DB:g} to {MAX_GAIN_DB:g} dB")
        if self.aspect is not None and not MIN_ASPECT <= self.aspect <= MAX_ASPECT:
            raise PictureError(f"an aspect of {self.aspect:g}: it is from 1:{1 / MIN_ASPECT:g} to {MAX_ASPECT:g}:1")
        for value, known in ((self.palette, PaletteName), (self.scale, Scale)):
            if value not in get_args(known):
                raise PictureError(f"'{value}' is none of {', '.join(get_args(known))}")

    def axis(self, sample_rate: int) -> FrequencyAxis:
        """Return the frequency axis for a source. Raises PictureError for a band that it does not have."""
        nyquist_hz = sample_rate / 2
        high_hz = nyquist_hz if self.high_hz is None else min(self.high_hz, nyquist_hz)
        low_hz = self.low_hz
        if self.scale == "log" and low_hz is not None and low_hz < 1:
            raise PictureError(f"a logarithmic axis from {low_hz:g} Hz: it begins at 1 Hz or more")
        axis = FrequencyAxis(self.scale, high_hz, low_hz)
        if axis.low_hz * _LEAST_BAND >= high_hz:
            raise PictureError(
                f"frequencies from {axis.low_hz:g} to {high_hz:g} Hz: the band is empty or too narrow; "
                f"this sound has 0 to {nyquist_hz:g} Hz"
            )
        return axis
