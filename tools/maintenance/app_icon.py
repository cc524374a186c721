"""Draw the icon of the Home Assistant app: a sound's level, in bars.

    python tools/maintenance/app_icon.py

Drawn four times as large and averaged down, for smooth edges; written as PNG with the standard library.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ICON = Path(__file__).parents[2] / "deploy" / "homeassistant" / "edgeaudio" / "icon.png"
SIZE, FINER = 128, 4
GROUND, BARS = (18, 58, 74), (245, 247, 240)
LEVELS = (0.22, 0.46, 0.78, 0.58, 0.34, 0.62, 0.26)
CORNER, BAR, GAP = 26, 9, 6  # pixels


def main() -> None:
    """Write the icon."""
    ICON.write_bytes(png(draw()))


def draw() -> NDArray[np.uint8]:
    """The picture, (SIZE, SIZE, 4)."""
    picture = np.zeros((SIZE * FINER, SIZE * FINER, 4))
    picture[rounded(0, 0, SIZE, SIZE, CORNER)] = (*GROUND, 255)
    left = (SIZE - len(LEVELS) * BAR - (len(LEVELS) - 1) * GAP) / 2
    for number, level in enumerate(LEVELS):
        height = level * SIZE
        where = rounded(left + number * (BAR + GAP), (SIZE - height) / 2, BAR, height, BAR / 2)
        picture[where] = (*BARS, 255)
    small = picture.reshape(SIZE, FINER, SIZE, FINER, 4).mean(axis=(1, 3))
    # a pixel at the edge keeps the colour of what it is a part of, and is transparent for the rest
    solid = small[..., 3:] > 0
    small[..., :3] = np.where(solid, small[..., :3] * 255 / np.maximum(small[..., 3:], 1), 0)
    icon: NDArray[np.uint8] = np.rint(small).astype(np.uint8)
    return icon


def rounded(left: float, top: float, width: float, height: float, radius: float) -> NDArray[np.bool_]:
    """True inside a rectangle with round corners, in pixels of the icon."""
    y, x = (np.mgrid[: SIZE * FINER, : SIZE * FINER] + 0.5) / FINER
    across = np.maximum(np.abs(x - left - width / 2) - (width / 2 - radius), 0)
    along = np.maximum(np.abs(y - top - height / 2) - (height / 2 - radius), 0)
    inside: NDArray[np.bool_] = np.hypot(across, along) <= radius
    return inside


def png(picture: NDArray[np.uint8]) -> bytes:
    """The picture as a PNG file: 8 bits a channel, with transparency."""
    height, width, _ = picture.shape
    rows = b"".join(b"\0" + row.tobytes() for row in picture)  # each begins with its filter: none
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


if __name__ == "__main__":
    main()
