"""A TFLite model with its manifest: clip values in, one score per label out.

Owns: the only use of the TFLite runtime, under either of its names; loading; the order of inputs and outputs.
Does not know: streams, thresholds, events.
"""

from __future__ import annotations

import hashlib
import stat
import threading
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import read_regular
from edgeaudio.recognise.flatbuffer import FlatbufferError
from edgeaudio.recognise.frontend import FrontEnd
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME, Manifest, check_manifest, read_manifest
from edgeaudio.recognise.no_runtime import no_runtime, this_system
from edgeaudio.recognise.quantisation import INTEGERS, dequantised, quantised
from edgeaudio.recognise.recurrent_state import State, state_of
from edgeaudio.recognise.runtime_errors import explained
from edgeaudio.types import Samples

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
MAX_MODEL_BYTES = 500_000_000


class ModelError(EdgeaudioError):
    """A model that cannot be loaded, or that contradicts its manifest."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class Model:
    """One loaded model. Clips are independent: its variables are reset before each.

    Threads may share it: they take turns, clip by clip.
    """

    def __init__(
        self,
        manifest: Manifest,
        path: Path,
        interpreter: Any,
        *,
        has_variables: bool = False,
        frontend: FrontEnd | None = None,
    ) -> None:
        self.manifest = manifest
        self.path = path
        self._interpreter = interpreter
        self._has_variables = has_variables
        self._frontend = frontend
        self._lock = threading.Lock()
        self._input = interpreter.get_input_details()[manifest.input.index]
        self._output = interpreter.get_output_details()[manifest.output.index]
        self._shape = tuple(self._input["shape"])
        self._groups = [[manifest.labels.index(name) for name in group] for group in manifest.groups.values()]

    def scores(self, values: Samples) -> Samples:
        """Return the scores of one clip.

        values: float32 `(n_samples,)`, or `(n_frames, n_features)`, as the manifest says.
        Returns float32 `(n_labels + n_groups,)` in [0, 1]: labels, then groups (their maximum).
        """
        labels = self._activated(self.outputs(values))
        if not self._groups:
            return labels
        return np.concatenate([labels, [labels[members].max() for members in self._groups]]).astype(np.float32)

    def outputs(self, values: Samples) -> Samples:
        """Return the model's own output for one clip, float32 `(n_patches, n_labels)`, without activation.

        For an autoencoder, return the mean squared error of its output, `(1, 1)`.
        """
        with self._lock:
            given = self._given(values)
            if self._has_variables:
                self._interpreter.reset_all_variables()
            self._interpreter.set_tensor(self._input["index"], quantised(given, self._input).reshape(self._shape))
            self._interpreter.invoke()
            out = self._interpreter.get_tensor(self._output["index"])
        raw = dequantised(out, self._output)
        if self.manifest.output.kind == "reconstruction_error":
            error = np.square(raw.ravel() - given.ravel()).mean()
            return np.full((1, 1), error, np.float32)
        return raw.reshape(-1, len(self.manifest.labels))

    def _given(self, values: Samples) -> Samples:
        """Return a clip's values in the order and scale of the input tensor, before quantisation."""
        section = self.manifest.input
        if self._frontend:
            values = self._frontend.features(values)
            return values * np.float32(section.scale) + np.float32(section.offset)
        present = {"time": values.shape[0], "feature": values.shape[-1]}
        order = [axis for axis in section.axes if axis in present]
        if order == ["feature", "time"]:
            values = values.T
        shaped = values.reshape([present.get(axis, 1) for axis in section.axes])
        if section.scale != 1.0 or section.offset:
            shaped = shaped * np.float32(section.scale) + np.float32(section.offset)
        return shaped

    def _activated(self, rows: Samples) -> Samples:
        """Return scores `(n_labels,)` of rows `(n_patches, n_labels)`."""
        output = self.manifest.output
        if output.kind == "reconstruction_error":
            rows = rows / (rows + np.float32(output.half_error))
        if output.activation == "sigmoid":
            half = np.float32(0.5)
            rows = half + half * np.tanh(half * rows)  # the logistic function, without overflow
        elif output.activation == "softmax":
            rows = np.exp(rows - rows.max(axis=1, keepdims=True))
            rows /= rows.sum(axis=1, keepdims=True)
        scores = rows.mean(axis=0) if output.patches == "mean" else rows.max(axis=0)
        # a score must be a probability: no NaN may reach a comparison or a message
        finite: Samples = np.nan_to_num(np.clip(scores, 0.0, 1.0), nan=0.0)
        return finite


def load_model(path: Path, *, name: str | None = None, groups: Mapping[str, tuple[str, ...]] | None = None) -> Model:
    """Return the model in a directory (`model.tflite` and `model.toml`).

    `name` replaces the manifest's, `groups` are added to the manifest's.

    Raises ManifestError or ModelError, in one line, if a file is missing or wrong, or if they contradict each other.
    """
    try:
        is_directory = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        is_directory = False
    except OSError as error:
        raise ModelError(path, f"cannot be read: {error.strerror}") from None
    if not is_directory:
        raise ModelError(path, f"is not a model directory; it must hold {MODEL_FILE_NAME} and {FILE_NAME}")
    manifest = read_manifest(path / FILE_NAME)
    file, section = path / MODEL_FILE_NAME, manifest.input
    content = _verified_content(file, manifest.sha256)
    frontend = _verified_content(path / section.frontend, section.frontend_sha256) if section.frontend else b""
    if name is not None or groups:
        manifest = replace(manifest, name=name or manifest.name, groups={**manifest.groups, **(groups or {})})
        check_manifest(manifest, path / FILE_NAME)
    return build_model(manifest, file, content, frontend)


def read_model_file(file: Path) -> bytes:
    """Return the content of a `.tflite` file. Raises ModelError."""
    try:
        if file.stat().st_size > MAX_MODEL_BYTES:
            raise ModelError(file, f"is larger than {MAX_MODEL_BYTES // 1_000_000} MB")
        return read_regular(file, MAX_MODEL_BYTES)
    except OSError as error:
        raise ModelError(file, f"cannot be read: {error.strerror}") from None


def _verified_content(file: Path, sha256: str) -> bytes:
    content = read_model_file(file)
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ModelError(file, f"its SHA-256 is {digest}, and {FILE_NAME} says {sha256}")
    return content


def build_model(manifest: Manifest, file: Path, content: bytes, frontend: bytes = b"") -> Model:
    """Return a model from its bytes, and those of its front end; errors name `file`. Raises ModelError."""
    interpreter = open_interpreter(file, content)
    state = _state(file, content)
    before = _front_end(manifest, file, frontend) if manifest.input.frontend else None
    _fit_input(manifest, file, interpreter, before)
    _fit_output(manifest, file, interpreter)
    model = Model(manifest, file, interpreter, has_variables=state is State.VARIABLES, frontend=before)
    if state is State.VARIABLES:
        _check_reset(model)
    return model


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


def _state(file: Path, content: bytes) -> State:
    try:
        state = state_of(content)
    except FlatbufferError as error:
        raise ModelError(file, f"is damaged: {error}") from None
    if state is State.RESOURCES:
        raise ModelError(
            file,
            "writes to variables that keep their values from clip to clip and cannot be reset (operator "
            "ASSIGN_VARIABLE), so that scores depend on what came before; export it without them, as a model that "
            "is given each clip whole",
        )
    if state is State.UNSET:
        raise ModelError(
            file,
            "reads variables that nothing sets (operator READ_VARIABLE): convert it from a SavedModel, so that its "
            "weights become constants",
        )
    return state


def _check_reset(model: Model) -> None:
    """Raise ModelError unless a clip gives the same outputs whatever the clip before it."""
    clip, features = model.manifest.clip, model.manifest.features
    shape = (features.n_frames(clip.n_samples), features.n_features) if features else (clip.n_samples,)
    one, other = np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype(np.float32)
    try:
        before = model.outputs(one)
        model.outputs(other)
        after = model.outputs(one)
    except RuntimeError as error:
        raise ModelError(model.path, f"its variables cannot be reset: {explained(error, RUNTIME)}") from None
    if not np.array_equal(before, after, equal_nan=True):
        raise ModelError(
            model.path, f"gives a clip other scores after another clip, though {RUNTIME} has reset its variables"
        )


def _front_end(manifest: Manifest, file: Path, content: bytes) -> FrontEnd:
    """Return the front end, prepared for a clip or for one of its frames. Raises ModelError."""
    section, n_samples = manifest.input, manifest.clip.n_samples
    file = file.with_name(section.frontend)
    interpreter = open_interpreter(file, content)
    state = _state(file, content)
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
    _prepare(file, interpreter, tensor, shape if -1 in signature else None)
    return FrontEnd(
        interpreter,
        hop=section.frontend_hop,
        scale=section.frontend_scale,
        has_variables=state is State.VARIABLES,
    )


def _filled(signature: list[int], n_values: int) -> list[int]:
    """Return the shape with open dimensions of 1, except the last, which makes the shape hold `n_values`."""
    shape = [1 if n == -1 else n for n in signature]
    n_known = prod(shape)
    if -1 in signature and n_known:
        last = len(signature) - 1 - signature[::-1].index(-1)
        shape[last] = max(1, n_values // n_known)
    return shape


def _fit_input(manifest: Manifest, file: Path, interpreter: Any, frontend: FrontEnd | None) -> None:
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
        _prepare(file, interpreter, tensor, shape if -1 in signature else None)
        return
    lengths = {"time": clip.n_samples}
    if manifest.features is not None:
        lengths = {"time": manifest.features.n_frames(clip.n_samples), "feature": manifest.features.n_features}
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
            f"({', '.join(section.axes)}; {section.kind}, {clip.n_samples} samples)",
        )
    _prepare(file, interpreter, tensor, wanted if signature != wanted and not flat else None)


def _prepare(file: Path, interpreter: Any, tensor: Mapping[str, Any], shape: list[int] | None) -> None:
    """Resize an input tensor to `shape`, if not None, and run the model once. Raises ModelError."""
    try:
        if shape is not None:
            interpreter.resize_tensor_input(tensor["index"], shape)
        interpreter.allocate_tensors()
        # other inputs (a place, a season) are zero, not uninitialised memory
        for other in interpreter.get_input_details():
            interpreter.set_tensor(other["index"], np.zeros(other["shape"], dtype=other["dtype"]))
        interpreter.invoke()  # lengths that depend on the input are known only after a run
    except (ValueError, RuntimeError) as error:
        raise ModelError(file, f"{RUNTIME} cannot run it: {explained(error, RUNTIME)}") from None


def _fit_output(manifest: Manifest, file: Path, interpreter: Any) -> None:
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


def _check_dtype(tensor: dict[str, Any], file: Path, what: str) -> None:
    if tensor["dtype"] not in (np.float32, *INTEGERS):
        name = np.dtype(tensor["dtype"]).name
        raise ModelError(file, f"its {what} tensor is {name}; float32, int8, uint8 and int16 are possible")
