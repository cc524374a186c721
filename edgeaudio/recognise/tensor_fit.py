"""The comparison of a manifest with the tensors of its model, and the preparation of the interpreters.

Owns: which shapes and dtypes fit a manifest, and which state a model may keep.
Does not know: how models are run.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from edgeaudio.recognise.flatbuffer import FlatbufferError
from edgeaudio.recognise.frontend import FrontEnd
from edgeaudio.recognise.interpreter import ModelError, open_interpreter, prepare
from edgeaudio.recognise.manifest import FILE_NAME, Manifest
from edgeaudio.recognise.quantisation import INTEGERS
from edgeaudio.recognise.recurrent_state import State, state_of


def fit_input(manifest: Manifest, file: Path, interpreter: Any, frontend: FrontEnd | None) -> None:
    """Check the input tensor, give it its shape and run the model once. Raises ModelError."""
    section, clip = manifest.input, manifest.clip
    details = interpreter.get_input_details()
    if not 0 <= section.index < len(details):
        raise ModelError(file, f"has {len(details)} inputs, and input.index in {FILE_NAME} is {section.index}")
    tensor = details[section.index]
    _check_dtype(tensor, file, "input")
    signature = [int(n) for n in tensor["shape_signature"]]
    if frontend:
        n_values = len(frontend.features(np.zeros(clip.n_samples, np.float32)))
        shape = _filled(signature, n_values)
        if prod(shape) != n_values:
            raise ModelError(
                file,
                f"its input tensor is {signature}, and {section.frontend} makes {n_values} values of a clip of "
                f"{clip.n_samples} samples: set clip.n_samples in {FILE_NAME} so that they are as many",
            )
        prepare(file, interpreter, tensor, shape if -1 in signature else None)
        return
    lengths = dict(zip(("time", "feature"), manifest.values_shape, strict=False))
    if section.stateful:
        lengths["time"] = section.step
    wanted = [lengths.get(axis, 1) for axis in section.axes]
    # an open length is exported as -1, or as a lone 1 (YAMNet's first release)
    resizable = len(signature) == len(wanted) and all(n in (w, -1) for n, w in zip(signature, wanted, strict=True))
    # models of microcontroller toolkits take features in one row
    row = [1 if n == -1 else n for n in signature]
    flat = "feature" in lengths and max(row, default=0) == prod(row) == prod(wanted)
    if not (resizable or flat or (signature == [1] and len(wanted) == 1)):
        raise ModelError(
            file,
            f"its input tensor is {signature}, and {FILE_NAME} makes {wanted} "
            f"({', '.join(section.axes)}; {section.kind}, "
            f"{f'steps of {section.step}' if section.stateful else f'{clip.n_samples} samples'})",
        )
    prepare(file, interpreter, tensor, wanted if signature != wanted and not flat else None)


def fit_output(manifest: Manifest, file: Path, interpreter: Any) -> None:
    """Check the output tensor, after a run. Raises ModelError."""
    details = interpreter.get_output_details()
    index = manifest.output.index
    if not 0 <= index < len(details):
        raise ModelError(file, f"has {len(details)} outputs, and output.index in {FILE_NAME} is {index}")
    shape = interpreter.get_tensor(details[index]["index"]).shape
    _check_dtype(details[index], file, "output")
    if manifest.output.kind == "reconstruction_error":
        n_values, n_given = prod(shape), prod(interpreter.get_input_details()[manifest.input.index]["shape"])
        if n_values != n_given:
            raise ModelError(file, f"is given {n_given} values and gives {n_values}: it does not reconstruct its input")
        return
    n_scores = int(shape[-1]) if shape else 0
    if n_scores != len(manifest.labels):
        raise ModelError(file, f"gives {n_scores} scores, and {FILE_NAME} names {len(manifest.labels)} labels")


def load_front_end(manifest: Manifest, file: Path, content: bytes) -> FrontEnd:
    """Return the front end, prepared for a clip or for one of its frames. Raises ModelError."""
    section, n_samples = manifest.input, manifest.clip.n_samples
    file = file.with_name(section.frontend)
    interpreter = open_interpreter(file, content)
    state = kept_state(file, content, stateful=False)
    (tensor, *_), (output, *_) = interpreter.get_input_details(), interpreter.get_output_details()
    _check_dtype(tensor, file, "input")
    _check_dtype(output, file, "output")
    signature = [int(n) for n in tensor["shape_signature"]]
    shape = _filled(signature, n_samples)
    if not section.frontend_hop and prod(shape) != n_samples:
        raise ModelError(
            file,
            f"takes {prod(shape)} samples, and a clip has {n_samples}: set clip.n_samples in {FILE_NAME}, or "
            "input.frontend_hop where it makes a frame at a time",
        )
    if section.frontend_hop and not 1 < prod(shape) <= n_samples:
        raise ModelError(file, f"takes {prod(shape)} samples at a time, and a clip has {n_samples}")
    prepare(file, interpreter, tensor, shape if -1 in signature else None)
    return FrontEnd(
        interpreter,
        hop=section.frontend_hop,
        scale=section.frontend_scale,
        has_variables=state is State.VARIABLES,
    )


def kept_state(file: Path, content: bytes, *, stateful: bool) -> State:
    """Return the state that a model keeps. Raises ModelError for one that its manifest does not allow.

    stateful: the manifest says that the model remembers what it was given before.
    """
    try:
        state = state_of(content)
    except FlatbufferError as error:
        raise ModelError(file, f"is damaged: {error}") from None
    if stateful and state is State.NONE:
        raise ModelError(
            file,
            f"keeps nothing from one run to the next, and {FILE_NAME} says input.stateful = true; states that go "
            "through inputs and outputs are not supported",
        )
    if state is State.RESOURCES and not stateful:
        raise ModelError(
            file,
            "writes to variables that keep their values from clip to clip and cannot be reset (operator "
            "ASSIGN_VARIABLE), so that scores depend on what came before; if it is meant to be given each frame once, "
            f"say input.stateful = true and input.step in {FILE_NAME}; else export it without them",
        )
    if state is State.UNSET:
        raise ModelError(
            file,
            "reads variables that nothing sets (operator READ_VARIABLE): convert it from a SavedModel, so that its "
            "weights become constants",
        )
    return state


def _filled(signature: list[int], n_values: int) -> list[int]:
    """Return the shape with open dimensions of 1, except the last, which makes the shape hold `n_values`."""
    shape = [1 if n == -1 else n for n in signature]
    n_known = prod(shape)
    if -1 in signature and n_known:
        last = len(signature) - 1 - signature[::-1].index(-1)
        shape[last] = max(1, n_values // n_known)
    return shape


def _check_dtype(tensor: dict[str, Any], file: Path, what: str) -> None:
    if tensor["dtype"] not in (np.float32, *INTEGERS):
        name = np.dtype(tensor["dtype"]).name
        raise ModelError(file, f"its {what} tensor is {name}; float32, int8, uint8 and int16 are possible")
