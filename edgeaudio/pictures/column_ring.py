"""The columns of a picture that scrolls, in Y, U and V: each is drawn once, and every frame copies what it shows.

Owns: where a column is kept, and its share of the chroma. Does not know: what the columns show, or when.

Chroma has half the columns. A window may begin with any column, so that each pair of neighbours is kept, those that
begin with an even column apart from those that begin with an odd one: every frame copies whole rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeaudio.pictures.yuv import Plane, Planes


class ColumnRing:
    """The last `capacity` columns, by number; all numbers are possible, negative ones too."""

    def __init__(self, height: int, capacity: int, colour: NDArray[np.uint8]) -> None:
        """`height` and `capacity`: even; `colour`: Y, U and V, of columns that were not drawn."""
        self.height, self.capacity = height, capacity
        self._y: Plane = np.full((height, capacity), colour[0], np.uint8)
        # chroma of U and V: of single columns, and of pairs that begin with an even and with an odd column
        self._single = [np.full((height // 2, capacity), value, np.uint8) for value in colour[1:]]
        self._pairs = [
            [np.full((height // 2, capacity // 2), value, np.uint8) for _ in range(2)] for value in colour[1:]
        ]

    def draw(self, first: int, row: int, pixels: NDArray[np.uint8]) -> None:
        """Draw columns from number `first` on, into rows from the even `row` on.

        pixels: Y, U, V `(n_rows, n, 3)`, `n_rows` even, `n` at most the capacity less one.
        """
        chroma = (pixels[0::2, :, 1:].astype(np.uint16) + pixels[1::2, :, 1:] + 1) >> 1
        self._draw(first, row, pixels[..., 0], chroma[..., 0].astype(np.uint8), chroma[..., 1].astype(np.uint8))

    def _draw(self, first: int, row: int, y: Plane, u: Plane, v: Plane) -> None:
        """Draw columns of Y, and of U and V, which have half the rows and all columns."""
        n_rows, n_columns = y.shape
        columns = np.arange(first, first + n_columns) % self.capacity
        self._y[row : row + n_rows, columns] = y
        rows = slice(row // 2, (row + n_rows) // 2)
        # a pair changes with each of its two columns: the one before the first, too
        begins = np.arange(first - 1, first + n_columns)
        left, right = begins % self.capacity, (begins + 1) % self.capacity
        for single, pairs, plane in zip(self._single, self._pairs, (u, v), strict=True):
            single[rows, columns] = plane
            mean = ((single[rows, left].astype(np.uint16) + single[rows, right] + 1) >> 1).astype(np.uint8)
            for odd in (0, 1):
                those = begins % 2 == odd
                pairs[odd][rows, (left[those] - odd) // 2] = mean[:, those]

    def copy(self, first: int, width: int, target: Planes, x: int, y: int) -> None:
        """Copy `width` columns from number `first` on into a picture; `width`, `x` and `y` are even."""
        _copy(self._y, first % self.capacity, target.y[y : y + self.height, x : x + width])
        odd = first % 2
        begin = (first % self.capacity - odd) // 2
        for pairs, plane in zip(self._pairs, target[1:], strict=True):
            _copy(pairs[odd], begin, plane[y // 2 : (y + self.height) // 2, x // 2 : (x + width) // 2])


def _copy(ring: Plane, begin: int, target: Plane) -> None:
    """Copy columns of a ring from `begin` on."""
    before_end = min(ring.shape[1] - begin, target.shape[1])
    target[:, :before_end] = ring[:, begin : begin + before_end]
    target[:, before_end:] = ring[:, : target.shape[1] - before_end]
