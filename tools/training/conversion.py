"""Conversion by TensorFlow: Keras in, `.tflite` bytes out that every given runtime can run.

Owns: all use of TensorFlow and Keras for conversion, and the trial in each TFLite runtime.
Does not know: recordings, labels, thresholds, files of a model directory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.interpreter import open_interpreter
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.recognise.model import Model
from tools.training.command import require_keras

Samples = NDArray[np.float32]

KINDS = ("int8", "dynamic", "float16", "float32")
TRIAL_TIMEOUT_S = 120.0
TIMED_RUNS = 100

# Runs in any Python, this project need not be installed there.
_TRIAL = """
import importlib, json, sys
for module in ("ai_edge_litert", "tflite_runtime"):
    try:
        library = importlib.import_module(module + ".interpreter")
    except ImportError:
        continue
    try:
        interpreter = library.Interpreter(model_path=sys.argv[1], num_threads=1)
        interpreter.allocate_tensors()
        interpreter.invoke()
        problem = None
    except Exception as error:  # 2.14 beside NumPy 2 raises AttributeError, for one
        problem = " ".join(str(error).split())
    try:
        version = importlib.import_module(module).__version__
    except AttributeError:
        from importlib.metadata import version as installed
        version = installed(module.replace("_", "-"))
    print(json.dumps({"runtime": module.replace("_", "-") + " " + version, "problem": problem}))
"""


@dataclass(frozen=True, slots=True)
class KerasModel:
    """A model that can be called, and exported as a SavedModel with a batch of one."""

    ask: Callable[[Samples], Samples]  # (1, ...) to (1, n_outputs)
    export: Callable[[Path], None]
    shape: tuple[int, ...]  # of the input, a batch of one


def load(path: Path) -> KerasModel:
    """Load a `.keras` or `.h5` file, or a SavedModel directory.

    Raises:
        EdgeaudioError: It is missing or is none of these, or Keras is not installed.
    """
    require_keras()
    import keras  # noqa: PLC0415 - slow to import; errors in the arguments come first
    import tensorflow as tf  # noqa: PLC0415

    if (path / "saved_model.pb").is_file():
        return _saved_model(path)
    if not path.is_file():
        raise EdgeaudioError(f"{path}: no such model; give a .keras file or a SavedModel directory")
    try:
        model = keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, OSError) as error:
        model = _old_keras(path, error)
        shape = (1, *model.inputs[0].shape[1:])
        return KerasModel(
            lambda values: np.asarray(model(values, training=False)), lambda out: model.save(str(out)), shape
        )
    shape = (1, *model.inputs[0].shape[1:])

    def export(out: Path) -> None:
        archive = keras.export.ExportArchive()
        archive.track(model)
        signature = [tf.TensorSpec(shape, model.inputs[0].dtype)]
        archive.add_endpoint("serve", lambda values: model(values, training=False), input_signature=signature)
        archive.write_out(str(out), verbose=False)

    ask = tf.function(lambda values: model(values, training=False))
    return KerasModel(lambda values: np.asarray(ask(values)), export, shape)


def _saved_model(path: Path) -> KerasModel:
    import tensorflow as tf  # noqa: PLC0415

    loaded = tf.saved_model.load(str(path))
    if "serving_default" not in loaded.signatures:
        raise EdgeaudioError(f"{path}: has no signature serving_default; export it with model.export")
    function = loaded.signatures["serving_default"]
    name, specification = next(iter(function.structured_input_signature[1].items()))
    shape = (1, *specification.shape.as_list()[1:])

    def ask(values: Samples) -> Samples:
        return np.asarray(next(iter(function(**{name: tf.constant(values)}).values())))

    def export(out: Path) -> None:
        tf.saved_model.save(loaded, str(out), signatures=function)

    return KerasModel(ask, export, shape)


def _old_keras(path: Path, error: Exception) -> Any:  # noqa: ANN401 - tf_keras has no types
    try:
        import tf_keras  # noqa: PLC0415

        return tf_keras.models.load_model(path, compile=False)
    except (ImportError, ValueError, TypeError, OSError):
        reason = str(error).strip().splitlines()[0][:200]
        raise EdgeaudioError(
            f"{path}: Keras cannot read it ({reason}); save it with model.save('x.keras'), or install tf_keras if "
            "Keras 2 wrote it"
        ) from None


class Original:
    """The Keras model with the interface of an interpreter: `Model` feeds it as it feeds the converted one."""

    def __init__(self, model: KerasModel, manifest: Manifest) -> None:
        self._ask = model.ask
        self._shape = model.shape
        self._input: Samples = np.empty(0, dtype=np.float32)
        self._output: Samples = np.empty(0, dtype=np.float32)
        self.model = Model(manifest, Path(), self)
        self._n_labels = len(manifest.labels)

    def scores(self, clips: Sequence[Samples]) -> Samples:
        """Return scores of clips, `(n_clips, n_labels)`, in the original's full precision."""
        rows = [self.model.scores(values) for values in tqdm(clips, desc="Keras", unit="clip", leave=False)]
        return np.stack(rows)[:, : self._n_labels]

    def inputs(self, clips: Sequence[Samples]) -> list[Samples]:
        """Return input tensors of clips, as floats, a batch of one each."""
        tensors = []
        for values in clips:
            self.model.scores(values)
            tensors.append(self._input)
        return tensors

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "dtype": np.float32, "quantization": (0.0, 0), "shape": self._shape}]

    get_output_details = get_input_details

    def set_tensor(self, _: int, values: Samples) -> None:
        self._input = values

    def invoke(self) -> None:
        self._output = self._ask(self._input)

    def get_tensor(self, _: int) -> Samples:
        return self._output


def to_tflite(
    model: KerasModel, representative: Sequence[Samples], kind: str, pythons: Sequence[Path]
) -> tuple[bytes, list[str]]:
    """Return the converted model, and notes on the conversion, a line each.

    Raises:
        EdgeaudioError: The converter failed, or a runtime refuses the result even with the workaround; names the
            operator and its version.
    """
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "saved"
        model.export(saved)
        content = _converted(saved, representative, kind, per_channel_dense=True)
        trials = try_runtimes(content, pythons)
        notes = []
        if kind == "int8" and any(problem for _, problem in trials):
            content = _converted(saved, representative, kind, per_channel_dense=False)
            refused = ", ".join(name for name, problem in trials if problem)
            trials = try_runtimes(content, pythons)
            notes.append(f"dense layers are quantised per tensor, since {refused} refuses them per channel")
    for name, problem in trials:
        if problem:
            raise EdgeaudioError(
                f"{name} cannot run the converted model: {problem}; replace that layer, or drop the target"
            )
    notes.append("runs in " + ", ".join(dict.fromkeys(name for name, _ in trials)))
    return content, notes


def _converted(saved: Path, representative: Sequence[Samples], kind: str, *, per_channel_dense: bool) -> bytes:
    import tensorflow as tf  # noqa: PLC0415

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":

        def examples() -> Iterator[list[Samples]]:
            for values in tqdm(representative, desc="quantising", unit="clip", leave=False):
                yield [values]

        converter.representative_dataset = examples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        # the name TensorFlow gives the only way to keep FULLY_CONNECTED at a version that 2.14 knows
        converter._experimental_disable_per_channel_quantization_for_dense_layers = not per_channel_dense  # noqa: SLF001
    try:
        return bytes(converter.convert())
    except (RuntimeError, ValueError) as error:  # the last line with text is the cause
        reason = str(error).strip().splitlines()[-1][:300]
        raise EdgeaudioError(f"TensorFlow cannot convert the model to {kind}: {reason}") from error


def try_runtimes(content: bytes, pythons: Sequence[Path]) -> list[tuple[str, str | None]]:
    """Try the model in each TFLite runtime of this Python and of others. Returns name, version, and refusal or None.

    Raises:
        EdgeaudioError: A Python cannot be run, or none of its modules is a TFLite runtime.
    """
    results = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.tflite"
        file.write_bytes(content)
        for python in (Path(sys.executable), *pythons):
            try:
                done = subprocess.run(  # noqa: S603 - a Python that the user named
                    [python, "-c", _TRIAL, file], capture_output=True, text=True, timeout=TRIAL_TIMEOUT_S, check=False
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise EdgeaudioError(f"{python}: cannot be run: {error}") from error
            lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            if not lines:
                reason = (done.stderr.strip().splitlines() or ["no TFLite runtime is installed there"])[-1]
                raise EdgeaudioError(f"{python}: {reason}; install ai-edge-litert or tflite-runtime")
            results += [(line["runtime"], line["problem"]) for line in lines]
    return results


def facts(content: bytes, model: Model, values: Samples, notes: Sequence[str]) -> list[str]:
    """Return size, operators and time per clip, as lines of Markdown."""
    interpreter = open_interpreter(model.path, content)
    interpreter.allocate_tensors()
    operators = Counter(details["op_name"] for details in interpreter._get_ops_details())  # noqa: SLF001
    operators.pop("DELEGATE", None)
    taken_s = []
    for _ in range(TIMED_RUNS):
        began_s = time.perf_counter()
        model.scores(values)
        taken_s.append(time.perf_counter() - began_s)
    listed = ", ".join(f"{count} {name}" for name, count in operators.most_common())
    return [
        f"- size: {len(content):,} bytes",
        f"- operators: {listed}",
        f"- time per clip, one thread: {1e3 * float(np.median(taken_s)):.2f} ms (median of {TIMED_RUNS})",
        *(f"- {note}" for note in notes),
    ]
