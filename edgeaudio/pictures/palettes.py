"""Colours of loudness.

magma, viridis and inferno are by Nathaniel J. Smith, Stefan van der Walt and (viridis) Eric Firing, published under CC0
(https://bids.github.io/colormap/). Every fifth of their 256 colours is kept; those between are interpolated, to within
one step of 8 bits. In grey, as in print, louder is darker.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PaletteName = Literal["magma", "viridis", "inferno", "grey"]

_STEP = 5
_COLOURS: dict[PaletteName, str] = {
    "magma": (
        "000004 02020b 050416 090720 0e0b2b 140e36 1a1042 21114e 29115a 311165 390f6e 420f75 4a1079 52137c 5a167e "
        "621980 6a1c81 721f81 792282 812581 892881 912b81 992d80 a1307e aa337d b2357b ba3878 c23b75 ca3e72 d2426f "
        "d9466b e04c67 e75263 ec5860 f1605d f4695c f7725c f97b5d fb8560 fc8e64 fd9869 fea16e feaa74 feb47b febd82 "
        "fec68a fecf92 fed89a fde2a3 fdebac fcf4b6 fcfdbf "
    ),
    "viridis": (
        "440154 46085c 471063 481769 481d6f 482475 472a7a 46307e 453781 433d84 414287 3f4889 3d4e8a 3a538b 38598c "
        "355e8d 33638d 31688e 2e6d8e 2c718e 2a768e 297b8e 27808e 25848e 23898e 218e8d 20928c 1f978b 1e9c89 1fa188 "
        "21a585 24aa83 28ae80 2eb37c 35b779 3dbc74 46c06f 50c46a 5ac864 65cb5e 70cf57 7cd250 89d548 95d840 a2da37 "
        "b0dd2f bddf26 cae11f d8e219 e5e419 f1e51d fde725 "
    ),
    "inferno": (
        "000004 02020c 050417 0a0722 10092d 160b39 1e0c45 260c51 2f0a5b 380962 400a67 490b6a 510e6c 59106e 61136e "
        "69166e 71196e 781c6d 801f6c 88226a 902568 982766 a02a63 a82e5f b0315b b73557 bf3952 c63d4d cc4248 d34743 "
        "d94d3d df5337 e45a31 e9612b ed6925 f1711f f47918 f78212 f98b0b fa9407 fb9d07 fca60c fcb014 fbba1f fac42a "
        "f8cd37 f6d746 f4e156 f2ea69 f2f27d f5f992 fcffa4 "
    ),
    "grey": " ".join(f"{255 - level:02x}" * 3 for level in range(0, 256, _STEP)),
}


@cache
def palette(name: PaletteName) -> NDArray[np.uint8]:
    """Return the colours from silent to loud, RGB `(256, 3)`."""
    kept = np.frombuffer(bytes.fromhex(_COLOURS[name]), np.uint8).reshape(-1, 3)
    places = np.arange(256)
    channels = [np.interp(places, places[::_STEP], channel) for channel in kept.T]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)
