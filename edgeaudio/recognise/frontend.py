"""A model's external front end: a second `.tflite` file that makes the features of a clip.

Owns: its one run over the clip, or its run frame by frame. Does not know: how it is loaded (model.py), and what takes
the features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeaudio.recognise.quantisation import dequantised, quantised
from edgeaudio.types import Samples


class FrontEnd:
    """A prepared interpreter of a front end. Not safe for two threads at once."""

    def __init__(self, interpreter: Any, *, hop: int, scale: float, has_variables: bool) -> None:
        """`hop`: samples from one of its frames to the next; 0 where it takes the clip whole."""
        self._interpreter = interpreter
        self._hop = hop
        self._scale = np.float32(scale)
        self._has_variables = has_variables
        self._input = interpreter.get_input_details()[0]
        self._output = interpreter.get_output_details()[0]

    @property
    def frame_length(self) -> int:
        """Samples that one run takes."""
        return int(np.prod(self._input["shape"]))

    def features(self, samples: Samples) -> Samples:
        """Features of a clip `(n_samples,)`, float32 in one row, in the order in which the front end gives them."""
        if self._has_variables:
            self._interpreter.reset_all_variables()
        scaled = samples * self._scale
        if not self._hop:
            return self._run(scaled)
        starts = range(0, len(samples) - self.frame_length + 1, self._hop)
        return np.concatenate([self._run(scaled[start : start + self.frame_length]) for start in starts])

    def _run(self, samples: Samples) -> Samples:
        self._interpreter.set_tensor(
            self._input["index"], quantised(samples, self._input).reshape(self._input["shape"])
        )
        self._interpreter.invoke()
        return dequantised(self._interpreter.get_tensor(self._output["index"]), self._output).ravel()
