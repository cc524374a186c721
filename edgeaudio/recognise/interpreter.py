"""The TFLite runtime, under either of its names: interpreters of model files, and the errors of models.

Owns: the only import of the runtime. Does not know: manifests, clips, scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.no_runtime import no_runtime, this_system
from edgeaudio.recognise.runtime_errors import explained

# tflite_runtime is installed on 32-bit Arm, or on request; it does not work with NumPy 2
try:
    if find_spec("tflite_runtime") and np.lib.NumpyVersion(np.__version__) < "2.0.0":
        from tflite_runtime.interpreter import Interpreter

        RUNTIME = "tflite-runtime"
    else:
        from ai_edge_litert.interpreter import Interpreter

        RUNTIME = "ai-edge-litert"
except Exception as error:  # noqa: BLE001 (one that came by halves, or is of another NumPy, raises OSError, AttributeError ...)
    raise no_runtime(this_system(), error) from None

N_THREADS = 1  # enough for models of this size; more threads than cores are 10 to 500 times slower


class ModelError(EdgeaudioError):
    """A model that cannot be loaded, or that contradicts its manifest."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


def open_interpreter(file: Path, content: bytes) -> Any:
    """Return the runtime's interpreter for those bytes, tensors not yet allocated. Raises ModelError."""
    if content[4:8] != b"TFL3":
        raise ModelError(file, "is not a TFLite model (its identifier is not TFL3)")
    try:
        interpreter = Interpreter(model_content=content, num_threads=N_THREADS)
        # decodes the names, which are not UTF-8 in some damaged files
        interpreter.get_input_details()
        interpreter.get_output_details()
    except (ValueError, RuntimeError) as error:
        raise ModelError(file, f"{RUNTIME} cannot load it: {explained(error, RUNTIME)}") from None
    return interpreter


def allocate(interpreter: Any, tensor: Mapping[str, Any], shape: list[int] | None) -> None:
    """Resize an input tensor to `shape`, if not None; all inputs are zero. Raises ValueError, RuntimeError."""
    if shape is not None:
        interpreter.resize_tensor_input(tensor["index"], shape)
    interpreter.allocate_tensors()
    # other inputs (a place, a season) are zero, not uninitialised memory
    for other in interpreter.get_input_details():
        interpreter.set_tensor(other["index"], np.zeros(other["shape"], dtype=other["dtype"]))


def prepare(file: Path, interpreter: Any, tensor: Mapping[str, Any], shape: list[int] | None) -> None:
    """Resize an input tensor to `shape`, if not None, and run the model once. Raises ModelError."""
    try:
        allocate(interpreter, tensor, shape)
        interpreter.invoke()  # lengths that depend on the input are known only after a run
    except (ValueError, RuntimeError) as error:
        raise ModelError(file, f"{RUNTIME} cannot run it: {explained(error, RUNTIME)}") from None
