"""The interpreter that peers use in Python: full TensorFlow's where it is installed, else the small runtime.

Owns: which one it is, and how a clip's values go through it. Does not know: what they mean.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgeaudio.types import Samples

RUNTIME = next((name for name in ("tensorflow", "ai_edge_litert", "tflite_runtime") if find_spec(name)), "none")


def open_model(file: Path) -> Any:  # noqa: ANN401 (none of them has types)
    """Return an interpreter with one thread, for one core is what is measured; ready to be invoked."""
    module = import_module("tensorflow").lite if RUNTIME == "tensorflow" else import_module(f"{RUNTIME}.interpreter")
    interpreter = module.Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def output_of(interpreter: Any, values: Samples) -> Any:  # noqa: ANN401 (none of them has types)
    """Return a model's output for a clip's values, quantised if the model wants that."""
    tensor = interpreter.get_input_details()[0]
    scale, zero = tensor["quantization"]
    if scale:
        values = np.clip(np.rint(values / scale) + zero, -128, 127).astype(tensor["dtype"])
    interpreter.set_tensor(tensor["index"], values.reshape(tensor["shape"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
