"""Pictures read again: what is where in the plot of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeaudio.pictures.drawing import Layout, Mark
from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.pictures.options import PictureOptions


def opened(file: bytes) -> Image.Image:
    """Return the picture, decoded."""
    image = Image.open(BytesIO(file))
    image.load()
    return image


def plot_of(file: bytes, options: PictureOptions, sample_rate: int, marks: Sequence[Mark] = ()) -> NDArray[np.uint8]:
    """Return the plot's pixels `(height, width, 3)`, the lowest frequency first."""
    axis = FrequencyAxis(options.scale, sample_rate / 2)
    layout = Layout(options.width, options.height, options.palette, axis, marks)
    pixels = np.asarray(opened(file).convert("RGB"))
    return pixels[layout.y : layout.y + layout.height, layout.x : layout.x + layout.width][::-1]


def darkness(plot: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return 0 to 255 of a grey plot: the louder, the more."""
    levels: NDArray[np.int64] = 255 - plot.astype(np.int64).mean(axis=2).round().astype(np.int64)
    return levels
