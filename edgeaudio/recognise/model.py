"""A TFLite model with its manifest: clip values in, one score per label out.

Owns: loading, the order and scale of inputs, activations, and the runs of a stateful model.
Does not know: streams, thresholds, events.
"""

from __future__ import annotations

import hashlib
import stat
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeaudio.files import read_regular
from edgeaudio.recognise.frontend import FrontEnd
from edgeaudio.recognise.groups import Groups
from edgeaudio.recognise.interpreter import RUNTIME, ModelError, allocate, open_interpreter
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME, Manifest
from edgeaudio.recognise.manifest_file import check_manifest, read_manifest
from edgeaudio.recognise.quantisation import dequantised, quantised
from edgeaudio.recognise.recurrent_state import State
from edgeaudio.recognise.runtime_errors import explained
from edgeaudio.recognise.tensor_fit import fit_input, fit_output, kept_state, load_front_end
from edgeaudio.types import Samples

if TYPE_CHECKING:
    from edgeaudio.recognise.fused_model import LoadedModel

MAX_MODEL_BYTES = 500_000_000
FINE = 1 / 256  # difference of two scores that is made of, where the output has no smallest
_NEVER, _CERTAIN = np.float32(0), np.float32(1)


class Model:
    """One loaded model. Clips are independent: its variables are reset before each.

    Threads may share it: they take turns, clip by clip. A stateful model remembers in its streams alone.
    """

    def __init__(
        self,
        manifest: Manifest,
        path: Path,
        interpreter: Any,
        *,
        has_variables: bool = False,
        frontend: FrontEnd | None = None,
        content: bytes = b"",
    ) -> None:
        """`content`: of the file, if the model is stateful."""
        self.manifest = manifest
        self.path = path
        self._interpreter = interpreter
        self._has_variables = has_variables
        self._frontend = frontend
        self._content = content
        self._lock = threading.Lock()
        self._input = interpreter.get_input_details()[manifest.input.index]
        self._output = interpreter.get_output_details()[manifest.output.index]
        self._shape = tuple(self._input["shape"])
        self._groups = Groups(manifest.labels, manifest.groups)

    @property
    def quantum(self) -> float:
        """Smallest difference of two scores: the scale of an output of whole numbers that are scores, else 1/256."""
        scale = float(self._output["quantization"][0])
        is_scores = self.manifest.output.kind == "scores" and self.manifest.output.activation == "none"
        return scale if is_scores and 0 < scale < 1 else FINE

    def scores(self, values: Samples) -> Samples:
        """Return the scores of one clip.

        values: float32 `(n_samples,)`, or `(n_frames, n_features)`, as the manifest says.
        Returns float32 `(n_labels + n_groups,)` in [0, 1]: labels, then groups (their maximum). A stateful model is
        given the clip as if nothing had come before; the scores are those after its last step.
        """
        return self.scores_of(self.outputs(values))

    def scores_of(self, rows: Samples) -> Samples:
        """Return the scores of a model's own output `(n_patches, n_labels)`, as `scores` does."""
        return self._groups.added_to(self._activated(rows))

    def outputs(self, values: Samples) -> Samples:
        """Return the model's own output for one clip, float32 `(n_patches, n_labels)`, without activation.

        For an autoencoder, return the mean squared error of its output, `(1, 1)`.
        """
        if self.manifest.input.stateful:
            return self.stream().outputs(values)
        with self._lock:
            given = self._given(values)
            if self._has_variables:
                self._interpreter.reset_all_variables()
            raw = self._run(self._interpreter, given)
        if self.manifest.output.kind == "reconstruction_error":
            error = np.square(raw.ravel() - given.ravel()).mean()
            return np.full((1, 1), error, np.float32)
        return raw.reshape(-1, len(self.manifest.labels))

    def stream(self) -> ModelStream:
        """Return a stateful model in its initial state, for one source's sound without a hole.

        It has an interpreter of its own: the runtime can neither reset all kinds of variables nor part them.
        """
        interpreter = open_interpreter(self.path, self._content)
        tensor = interpreter.get_input_details()[self.manifest.input.index]
        allocate(interpreter, tensor, None if tuple(tensor["shape"]) == self._shape else list(self._shape))
        return ModelStream(self, interpreter)

    def step_outputs(self, interpreter: Any, values: Samples) -> Samples:
        """Return an interpreter's output `(n_patches, n_labels)` for the next step's values."""
        return self._run(interpreter, self._given(values)).reshape(-1, len(self.manifest.labels))

    def _run(self, interpreter: Any, given: Samples) -> Samples:
        interpreter.set_tensor(self._input["index"], quantised(given, self._input).reshape(self._shape))
        interpreter.invoke()
        return dequantised(interpreter.get_tensor(self._output["index"]), self._output)

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
        if len(rows) > 1:
            rows = rows.mean(axis=0, keepdims=True) if output.patches == "mean" else rows.max(axis=0, keepdims=True)
        # a score must be a probability: no NaN, which fmax takes for 0, may reach a comparison or a message
        finite: Samples = np.fmin(np.fmax(rows[0], _NEVER), _CERTAIN)
        return finite


class ModelStream:
    """A stateful model on one source's sound without a hole. Not thread-safe."""

    def __init__(self, model: Model, interpreter: Any) -> None:
        self._model = model
        self._interpreter = interpreter

    def scores(self, values: Samples) -> Samples:
        """Return the scores after the next steps, as `Model.scores` does.

        values: float32 `(n_steps * step,)`, or `(n_steps * step, n_features)`.
        """
        return self._model.scores_of(self.outputs(values))

    def outputs(self, values: Samples) -> Samples:
        """Return the output after the next steps, as `Model.outputs` does."""
        step = self._model.manifest.input.step
        starts = range(0, len(values), step)
        return [self._model.step_outputs(self._interpreter, values[start : start + step]) for start in starts][-1]


def load_model(
    path: Path, *, name: str | None = None, groups: Mapping[str, tuple[str, ...]] | None = None
) -> LoadedModel:
    """Return the model in a directory: `model.tflite` and `model.toml`, or the latter alone for a fused model.

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
        raise ModelError(
            path, f"is not a model directory; it must hold {FILE_NAME}, and {MODEL_FILE_NAME} unless it is fused"
        )
    manifest = read_manifest(path / FILE_NAME)
    if name is not None or groups:
        manifest = replace(manifest, name=name or manifest.name, groups={**manifest.groups, **(groups or {})})
        check_manifest(manifest, path / FILE_NAME)
    if manifest.fuse:
        from edgeaudio.recognise.fused_model import load_fused  # noqa: PLC0415 (it loads its members with this module)

        return load_fused(manifest, path)
    return load_single(manifest, path)


def load_single(manifest: Manifest, directory: Path) -> Model:
    """Return the model of that manifest, which was read in `directory`. Raises ModelError."""
    file, section = directory / MODEL_FILE_NAME, manifest.input
    content = _verified_content(file, manifest.sha256)
    frontend = b""
    if section.frontend:
        frontend = _verified_content(directory / section.frontend, section.frontend_sha256)
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
    stateful = manifest.input.stateful
    state = kept_state(file, content, stateful=stateful)
    before = load_front_end(manifest, file, frontend) if manifest.input.frontend else None
    fit_input(manifest, file, interpreter, before)
    fit_output(manifest, file, interpreter)
    has_variables = state is State.VARIABLES
    model = Model(
        manifest,
        file,
        interpreter,
        has_variables=has_variables,
        frontend=before,
        content=content if stateful else b"",
    )
    if has_variables or stateful:
        _check_reset(model)
    return model


def _check_reset(model: Model) -> None:
    """Raise ModelError unless a clip gives the same outputs whatever the clip before it."""
    shape = (2, *model.manifest.values_shape)
    one, other = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
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
