"""The form of a film: its picture's size and rate, its sound's, and how both are encoded. Values alone, no FFmpeg."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edgeaudio.errors import EdgeaudioError

Plane = NDArray[np.uint8]  # of a picture: Y (height, width), U or V (height / 2, width / 2)
FilmAudio = Literal["flac", "aac"]
MIN_RATE_HZ: Final = 4_000  # of sound
MAX_RATE_HZ: Final = 655_350  # of sound: FLAC's
AAC_RATES_HZ: Final = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # that every player knows
LIVE_RATES_HZ: Final = (44_100, 48_000)  # that every server knows
AAC_RATE_HZ: Final = 48_000  # of sound that has another rate
MAX_CHANNELS: Final[dict[FilmAudio, int]] = {"flac": 8, "aac": 2}
_AAC_BITS_PER_SAMPLE, _AAC_MAX_BIT_RATE = 4, 96_000  # of each channel
_MIN_SIDE, _MAX_SIDE, _MAX_PIXELS = 16, 4096, 4096 * 2304
_MIN_BIT_RATE, _MAX_BIT_RATE = 50_000, 100_000_000


class FilmWriterError(EdgeaudioError):
    """FFmpeg cannot encode a film in that form, or not in this one's build."""


@dataclass(frozen=True, slots=True)
class FilmFormat:
    """Pictures and sound of a film, as they are handed in."""

    width: int  # even
    height: int  # even
    frame_rate: int  # pictures a second, 15 to 60
    sample_rate: int  # Hz
    channels: int

    def __post_init__(self) -> None:
        """Raise FilmWriterError where no encoder could take it."""
        if self.width % 2 or self.height % 2:
            raise FilmWriterError(f"a film of {self.width}x{self.height} pixels: choose even numbers")
        sides = (self.width, self.height)
        if not all(_MIN_SIDE <= side <= _MAX_SIDE for side in sides) or self.width * self.height > _MAX_PIXELS:
            raise FilmWriterError(
                f"a film of {self.width}x{self.height} pixels: a side has {_MIN_SIDE} to {_MAX_SIDE}, and the whole at "
                "most 4096x2304"
            )
        if not 1 <= self.frame_rate <= 120:
            raise FilmWriterError(f"{self.frame_rate} pictures a second: choose 15 to 60")
        if not MIN_RATE_HZ <= self.sample_rate <= MAX_RATE_HZ:
            raise FilmWriterError(f"sound of {self.sample_rate} Hz: a film can have {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz")
        if self.channels < 1:
            raise FilmWriterError(f"sound of {self.channels} channels: a film needs one at least")


@dataclass(frozen=True, slots=True)
class SoundForm:
    """Sound of a film as it is encoded."""

    codec: FilmAudio
    sample_rate: int  # Hz
    channels: int  # 1 where the source's are mixed
    bit_rate: int | None  # bits a second; None: FLAC's own

    @classmethod
    def of(cls, codec: FilmAudio, film_format: FilmFormat, *, live: bool = False) -> SoundForm:
        """Return the form that holds most of the sound: AAC has 48 kHz and two channels at most, FLAC eight.

        `live`: for a server, whose pictures wait for packets of sound: those of slow rates are long.
        """
        rate = film_format.sample_rate
        if codec == "aac" and rate not in (LIVE_RATES_HZ if live else AAC_RATES_HZ):
            rate = AAC_RATE_HZ
        channels = film_format.channels if film_format.channels <= MAX_CHANNELS[codec] else 1
        bit_rate = None if codec == "flac" else channels * min(_AAC_BITS_PER_SAMPLE * rate, _AAC_MAX_BIT_RATE)
        return cls(codec, rate, channels, bit_rate)

    def losses(self, film_format: FilmFormat) -> str:
        """Return what this form leaves out of the sound, as a line without its end; empty if nothing is."""
        lost = []
        if self.sample_rate < film_format.sample_rate:
            lost.append(f"sound above {self.sample_rate / 2000:g} kHz is left out")
        if self.channels < film_format.channels:
            lost.append(f"the {film_format.channels} channels are heard as their mean")
        return " and ".join(lost)


@dataclass(frozen=True, slots=True)
class PictureForm:
    """How pictures are encoded."""

    bit_rate: int | None = None  # bits a second, on average; None: as many as the picture needs
    max_bit_rate: int | None = None  # over a second, for a line

    def __post_init__(self) -> None:
        """Raise FilmWriterError where no encoder could take it."""
        for rate in (self.bit_rate, self.max_bit_rate):
            if rate is not None and not _MIN_BIT_RATE <= rate <= _MAX_BIT_RATE:
                raise FilmWriterError(
                    f"{rate} bits a second for the picture: choose {_MIN_BIT_RATE} to {_MAX_BIT_RATE}"
                )
