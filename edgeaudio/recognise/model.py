"""A TFLite model with its manifest: clip values in, one score a label out.

Owns: the only use of the TFLite runtime, under either of its names; quantisation, which is read
from the tensors; the comparison of manifest and tensors. Does not know: streams, thresholds, events.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeaudio.files import read_regular
from edgeaudio.recognise.chatter import without_greetings
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME, Manifest, check_manifest, read_manifest
from edgeaudio.recognise.no_runtime import no_runtime, this_system
from edgeaudio.recognise.types import EdgeaudioError, Samples

# The older name is there on 32-bit Arm, or because somebody asked for it; NumPy 2 breaks it.
try:
    if find_spec("tflite_runtime") and np.lib.NumpyVersion(np.__version__) < "2.0.0":
        from tflite_runtime.interpreter import Interpreter

        RUNTIME = "tflite-runtime"
    else:
        from ai_edge_litert.interpreter import Interpreter

        RUNTIME = "ai-edge-litert"
except Exception as error:  # noqa: BLE001 (one that came by halves, or is of another NumPy, raises OSError, AttributeError ...)
    raise no_runtime(this_system(), error) from None

# More threads than cores cost 10 to 500 times, and one is enough for models of this size.
N_THREADS = 1
MAX_MODEL_BYTES = 500_000_000
INTEGERS = (np.int8, np.uint8, np.int16)


class ModelError(EdgeaudioError):
    """A model that cannot be loaded, or that contradicts its manifest."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class Model:
    """One loaded model. Not safe for two threads at once."""

    def __init__(self, manifest: Manifest, path: Path, interpreter: Any) -> None:
        self.manifest = manifest
        self.path = path
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[manifest.input.index]
        self._output = interpreter.get_output_details()[manifest.output.index]
        self._shape = tuple(self._input["shape"])
        self._groups = [[manifest.labels.index(name) for name in group] for group in manifest.groups.values()]

    def scores(self, values: Samples) -> Samples:
        """Scores of one clip.

        values: float32 `(n_samples,)`, or `(n_frames, n_features)`, as the manifest has it.
        Returns float32 `(n_labels + n_groups,)` in [0, 1]: labels, then groups (their maximum).
        """
        labels = self._activated(self.outputs(values))
        if not self._groups:
            return labels
        return np.concatenate([labels, [labels[members].max() for members in self._groups]]).astype(np.float32)

    def outputs(self, values: Samples) -> Samples:
        """What the model itself gives for one clip: float32 `(n_patches, n_labels)`, no activation applied."""
        self._interpreter.set_tensor(self._input["index"], self._tensor(values))
        self._interpreter.invoke()
        raw = _dequantised(self._interpreter.get_tensor(self._output["index"]), self._output)
        return raw.reshape(-1, len(self.manifest.labels))

    def with_groups(self, groups: Mapping[str, tuple[str, ...]]) -> Model:
        """The same model with more groups of its labels; both share one interpreter."""
        manifest = replace(self.manifest, groups={**self.manifest.groups, **groups})
        return Model(manifest, self.path, self._interpreter)

    def _tensor(self, values: Samples) -> NDArray[Any]:
        section = self.manifest.input
        present = {"time": values.shape[0], "feature": values.shape[-1]}
        order = [axis for axis in section.axes if axis in present]
        if order == ["feature", "time"]:
            values = values.T
        shaped = values.reshape([present.get(axis, 1) for axis in section.axes])
        if section.scale != 1.0 or section.offset:
            shaped = shaped * np.float32(section.scale) + np.float32(section.offset)
        return _quantised(shaped, self._input).reshape(self._shape)

    def _activated(self, rows: Samples) -> Samples:
        """Rows `(n_patches, n_labels)` to scores `(n_labels,)`."""
        output = self.manifest.output
        if output.activation == "sigmoid":
            half = np.float32(0.5)
            rows = half + half * np.tanh(half * rows)  # the logistic function, without overflow
        elif output.activation == "softmax":
            rows = np.exp(rows - rows.max(axis=1, keepdims=True))
            rows /= rows.sum(axis=1, keepdims=True)
        scores = rows.mean(axis=0) if output.patches == "mean" else rows.max(axis=0)
        # a score is a probability whatever the model does: no NaN may reach a comparison or the wire
        finite: Samples = np.nan_to_num(np.clip(scores, 0.0, 1.0), nan=0.0)
        return finite


def load_model(path: Path, *, name: str | None = None, groups: Mapping[str, tuple[str, ...]] | None = None) -> Model:
    """The model in that directory (`model.tflite` and `model.toml`).

    `name` and `groups` are the user's: the one instead of the manifest's, the others besides them.

    Raises ManifestError or ModelError, in one line, where either is missing or wrong or where they
    contradict each other.
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
    file = path / MODEL_FILE_NAME
    try:
        if file.stat().st_size > MAX_MODEL_BYTES:
            raise ModelError(file, f"is larger than {MAX_MODEL_BYTES // 1_000_000} MB")
        content = read_regular(file, MAX_MODEL_BYTES)
    except OSError as error:
        raise ModelError(file, f"cannot be read: {error.strerror}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.sha256:
        raise ModelError(file, f"its SHA-256 is {digest}, and {FILE_NAME} says {manifest.sha256}")
    if name is not None or groups:
        manifest = replace(manifest, name=name or manifest.name, groups={**manifest.groups, **(groups or {})})
        check_manifest(manifest, path / FILE_NAME)
    return build_model(manifest, file, content)


def build_model(manifest: Manifest, file: Path, content: bytes) -> Model:
    """A model from its bytes; `file` is what errors name. Raises ModelError."""
    with without_greetings():
        interpreter = open_interpreter(file, content)
        _fit_input(manifest, file, interpreter)
        _fit_output(manifest, file, interpreter)
    return Model(manifest, file, interpreter)


def open_interpreter(file: Path, content: bytes) -> Any:
    """The runtime's interpreter for those bytes, tensors not yet allocated. Raises ModelError."""
    if content[4:8] != b"TFL3":
        raise ModelError(file, "is not a TFLite model (its identifier is not TFL3)")
    try:
        interpreter = Interpreter(model_content=content, num_threads=N_THREADS)
        # a damaged file can still hold names that are not UTF-8, and they are decoded only here
        interpreter.get_input_details()
        interpreter.get_output_details()
    except (ValueError, RuntimeError) as error:
        raise ModelError(file, f"{RUNTIME} cannot load it: {_one_line(error)}") from None
    return interpreter


def _fit_input(manifest: Manifest, file: Path, interpreter: Any) -> None:
    section, clip = manifest.input, manifest.clip
    details = interpreter.get_input_details()
    if not 0 <= section.index < len(details):
        raise ModelError(file, f"has {len(details)} inputs, and input.index in {FILE_NAME} is {section.index}")
    tensor = details[section.index]
    lengths = {"time": clip.n_samples}
    if manifest.features is not None:
        lengths = {"time": manifest.features.n_frames(clip.n_samples), "feature": manifest.features.n_features}
    wanted = [lengths.get(axis, 1) for axis in section.axes]
    signature = [int(n) for n in tensor["shape_signature"]]
    # a model whose length is open is exported with -1, or with a lone 1 in its place (YAMNet's first release)
    resizable = len(signature) == len(wanted) and all(n in (w, -1) for n, w in zip(signature, wanted, strict=True))
    # microcontroller toolkits give features in one row; the model shapes them itself
    flat = "feature" in lengths and max(signature, default=0) == prod(signature) == prod(wanted)
    if not (resizable or flat or (signature == [1] and len(wanted) == 1)):
        raise ModelError(
            file,
            f"its input tensor is {signature}, and {FILE_NAME} makes {wanted} "
            f"({', '.join(section.axes)}; {section.kind}, {clip.n_samples} samples)",
        )
    _check_dtype(tensor, file, "input")
    try:
        if signature != wanted and not flat:
            interpreter.resize_tensor_input(tensor["index"], wanted)
        interpreter.allocate_tensors()
        # inputs that no clip goes to (a place, a season) stay at zero, not at what the memory held before
        for other in interpreter.get_input_details():
            interpreter.set_tensor(other["index"], np.zeros(other["shape"], dtype=other["dtype"]))
        interpreter.invoke()  # lengths that depend on the input are known only after it
    except (ValueError, RuntimeError) as error:
        raise ModelError(file, f"{RUNTIME} cannot run it: {_one_line(error)}") from None


def _fit_output(manifest: Manifest, file: Path, interpreter: Any) -> None:
    details = interpreter.get_output_details()
    index = manifest.output.index
    if not 0 <= index < len(details):
        raise ModelError(file, f"has {len(details)} outputs, and output.index in {FILE_NAME} is {index}")
    shape = interpreter.get_tensor(details[index]["index"]).shape
    n_scores = int(shape[-1]) if shape else 0
    if n_scores != len(manifest.labels):
        raise ModelError(file, f"gives {n_scores} scores, and {FILE_NAME} names {len(manifest.labels)} labels")
    _check_dtype(details[index], file, "output")


def _check_dtype(tensor: dict[str, Any], file: Path, what: str) -> None:
    if tensor["dtype"] not in (np.float32, *INTEGERS):
        name = np.dtype(tensor["dtype"]).name
        raise ModelError(file, f"its {what} tensor is {name}; float32, int8, uint8 and int16 are possible")


def _quantised(values: Samples, tensor: dict[str, Any]) -> NDArray[Any]:
    if tensor["dtype"] == np.float32:
        return values.astype(np.float32, copy=False)
    scale, zero_point = tensor["quantization"]
    limits = np.iinfo(tensor["dtype"])
    # integers without a scale are taken as they are: a model fed with raw 16-bit samples
    whole = np.rint(values / np.float32(scale) + zero_point if scale else values)
    return np.clip(whole, limits.min, limits.max).astype(tensor["dtype"])


def _dequantised(values: NDArray[Any], tensor: dict[str, Any]) -> Samples:
    scale, zero_point = tensor["quantization"]
    if tensor["dtype"] == np.float32 or not scale:
        return values.astype(np.float32, copy=False)
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
