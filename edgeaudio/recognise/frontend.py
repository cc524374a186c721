"""External front end of a model: a second `.tflite` file that computes the features of a clip."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeaudio.recognise.quantisation import dequantised, quantised
from edgeaudio.types import Samples


class FrontEnd:
    """A prepared interpreter of a front end, for the whole clip or frame by frame. Not thread-safe."""

    def __init__(self, interpreter: Any, *, hop: int, scale: float, has_variables: bool) -> None:
        """`hop`: samples from one frame to the next; 0: the front end takes the whole clip."""
        self._interpreter = interpreter
        self._hop = hop
        self._scale = np.float32(scale)
        self._has_variables = has_variables
        self._input = interpreter.get_input_details()[0]
        self._output = interpreter.get_output_details()[0]

    @property
    def frame_length(self) -> int:
        """Number of samples of one run."""
        return int(np.prod(self._input["shape"]))

    def features(self, samples: Samples) -> Samples:
        """Return the features of a clip `(n_samples,)`, float32 `(n_values,)`, in the front end's order."""
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
