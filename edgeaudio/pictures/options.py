"""How a picture looks: its size, colours, axes and format, and the bounds of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edgeaudio.errors import EdgeaudioError
from edgeaudio.pictures.frequency_axis import Scale
from edgeaudio.pictures.palettes import PaletteName

ImageFormat = Literal["jpeg", "webp", "png"]

# pixels of a side, and of the whole picture: a spectrogram takes up to 8 bytes for each, whatever its sound's length
MIN_SIDE, MAX_SIDE = 64, 8192
MAX_PIXELS = 8_000_000
MESSAGE_BYTES = 99_000  # for pictures that are sent: under 100 kB
MAX_GAIN_DB = 120.0
# rates that can be drawn, as capture admits them
MIN_RATE, MAX_RATE = 1_000, 1_000_000  # Hz


class PictureError(EdgeaudioError):
    """A picture that cannot be drawn as asked."""


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """How a picture looks. Raises PictureError for a value out of bounds."""

    width: int = 960  # pixels
    height: int = 480
    palette: PaletteName = "magma"
    scale: Scale = "linear"
    range_db: float | None = None  # from the loudest cell down to the darkest colour; None: down to the noise floor
    gain_db: float = 0.0  # brightens the picture
    image_format: ImageFormat = "jpeg"
    max_bytes: int | None = None  # lowers the quality, then the size; None: no limit

    def __post_init__(self) -> None:
        sides = (self.width, self.height)
        if not all(MIN_SIDE <= side <= MAX_SIDE for side in sides) or self.width * self.height > MAX_PIXELS:
            raise PictureError(
                f"a picture of {self.width}x{self.height} pixels: a side has {MIN_SIDE} to {MAX_SIDE}, "
                f"and the whole at most {MAX_PIXELS // 1_000_000} million"
            )
        if self.range_db is not None and not 10 <= self.range_db <= 200:
            raise PictureError(f"a range of {self.range_db:g} dB: it is from 10 to 200 dB")
        if not -MAX_GAIN_DB <= self.gain_db <= MAX_GAIN_DB:
            raise PictureError(f"a gain of {self.gain_db:g} dB: it is from -{MAX_GAIN_DB:g} to {MAX_GAIN_DB:g} dB")
        if self.max_bytes is not None and self.max_bytes < 1:
            raise PictureError(f"a limit of {self.max_bytes} bytes: it is 1 or more")
        for value, known in ((self.palette, PaletteName), (self.scale, Scale), (self.image_format, ImageFormat)):
            if value not in get_args(known):
                raise PictureError(f"'{value}' is none of {', '.join(get_args(known))}")
