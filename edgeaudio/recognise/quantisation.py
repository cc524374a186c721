"""Quantisation of tensors: `real = (stored - zero_point) * scale`. A tensor is the runtime's description of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeaudio.types import Samples

INTEGERS = (np.int8, np.uint8, np.int16)


def quantised(values: Samples, tensor: Mapping[str, Any]) -> NDArray[Any]:
    """Return real values as the tensor stores them, in its dtype."""
    if tensor["dtype"] == np.float32:
        return values.astype(np.float32, copy=False)
    scale, zero_point = tensor["quantization"]
    limits = np.iinfo(tensor["dtype"])
    # integers without a scale are stored as they are: a model that takes raw 16-bit samples
    whole = np.rint(values / np.float32(scale) + zero_point if scale else values)
    return np.clip(whole, limits.min, limits.max).astype(tensor["dtype"])


def dequantised(values: NDArray[Any], tensor: Mapping[str, Any]) -> Samples:
    """Return a tensor's content as real values, float32."""
    scale, zero_point = tensor["quantization"]
    if tensor["dtype"] == np.float32 or not scale:
        return values.astype(np.float32, copy=False)
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
