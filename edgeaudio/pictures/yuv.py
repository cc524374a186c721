"""Colours of video: RGB as Y, U and V of ITU-R BT.709, limited range (Y 16 to 235, U and V 16 to 240).

Owns: the conversion. Does not know: what is drawn.

A film is drawn in Y, U and V from the beginning: converting each of its pictures would take most of the processor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]

_STRIP = 16  # rows that are converted at once, even
_KR, _KB = 0.2126, 0.0722
_RGB_TO_Y = np.array([_KR, 1 - _KR - _KB, _KB])
_TO_YUV = np.stack(
    [
        219 * _RGB_TO_Y,
        224 * (np.array([0, 0, 1]) - _RGB_TO_Y) / (2 * (1 - _KB)),
        224 * (np.array([1, 0, 0]) - _RGB_TO_Y) / (2 * (1 - _KR)),
    ],
    axis=1,
)


class Planes(NamedTuple):
    """A picture, or a part of one, in 4:2:0: Y `(height, width)`, U and V `(height / 2, width / 2)`."""

    y: Plane
    u: Plane
    v: Plane


def yuv(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return colours `(..., 3)` as Y, U, V `(..., 3)`."""
    found: NDArray[np.float64] = (rgb / 255.0) @ _TO_YUV + np.array([16, 128, 128])
    whole: NDArray[np.uint8] = np.rint(found).astype(np.uint8)
    return whole


def planes_of(rgb: NDArray[np.uint8]) -> Planes:
    """Return a picture, RGB `(height, width, 3)` of even sides, as planes."""
    height, width = rgb.shape[:2]
    planes = blank(width, height, (0, 0, 0))
    for row in range(0, height, _STRIP):  # all at once would take 50 times the picture's memory
        full = yuv(rgb[row : row + _STRIP])
        planes.y[row : row + len(full)] = full[..., 0]
        chroma = full[..., 1:].reshape(len(full) // 2, 2, width // 2, 2, 2).sum(axis=(1, 3), dtype=np.uint16)
        mean = (chroma + 2) // 4
        planes.u[row // 2 : (row + len(full)) // 2] = mean[..., 0]
        planes.v[row // 2 : (row + len(full)) // 2] = mean[..., 1]
    return planes


def blank(width: int, height: int, colour: tuple[int, int, int]) -> Planes:
    """Return a picture of one RGB colour."""
    y, u, v = yuv(np.array(colour, np.uint8))
    half = (height // 2, width // 2)
    return Planes(np.full((height, width), y, np.uint8), np.full(half, u, np.uint8), np.full(half, v, np.uint8))


def put(target: Planes, x: int, y: int, source: Planes) -> None:
    """Copy a part into a picture, at even `x` and `y`."""
    height, width = source.y.shape
    target.y[y : y + height, x : x + width] = source.y
    for plane, part in ((target.u, source.u), (target.v, source.v)):
        plane[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2] = part
