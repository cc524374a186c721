"""The model call, from features to scores: microseconds of CPU for a clip, beside the bare interpreter.

Owns: the bare call, and the yardstick: a depthwise CNN of 120,000 parameters on a clip of the same shape
(bench_models/). Does not know: streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from edgeaudio.recognise.bundled_models import bundled_models
from edgeaudio.recognise.fused_model import FusedModel
from edgeaudio.recognise.interpreter import RUNTIME, open_interpreter
from edgeaudio.recognise.manifest import MODEL_FILE_NAME
from edgeaudio.recognise.model import Model, load_model
from edgeaudio.recognise.quantisation import quantised
from tools.benchmarks.cores import pinned
from tools.benchmarks.figures import FLOOR, Figure, Target
from tools.benchmarks.timing import ROUNDS, cpu_s

YARDSTICKS = Path(__file__).parents[1] / "bench_models"
YARDSTICK = "depthwise CNN, 120,000 parameters"
QUANTISING = "quantising"


def measure(*, short: bool) -> Iterator[Figure]:
    """Measure each bundled model."""
    calls = 10 if short else 50
    with pinned():
        for name, directory in bundled_models().items():
            model = load_model(directory)
            if isinstance(model, FusedModel):
                continue  # its members are measured
            shape = clip_shape(model)
            values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
            file = directory / MODEL_FILE_NAME
            tensor = open_interpreter(file, file.read_bytes()).get_input_details()[model.manifest.input.index]
            works: dict[str, Callable[[], object]] = {
                "edgeaudio": partial(model.scores, values),
                FLOOR: bare_call(file, model.manifest.input.index),
                QUANTISING: partial(quantised, values, tensor),
            }
            yardstick = YARDSTICKS / f"ds_cnn_{'x'.join(map(str, shape))}.tflite"
            if yardstick.exists():
                works[YARDSTICK] = bare_call(yardstick)
            repeated = {name: _repeated(work, calls) for name, work in works.items()}
            found = {
                name: 1e6 * value / calls for name, value in cpu_s(repeated, rounds=2 if short else ROUNDS).items()
            }
            ours, quantising_us = found.pop("edgeaudio"), found.pop(QUANTISING)
            note = f"quantising {values.size:,} values takes {quantising_us:.1f} µs in NumPy; checking scores the rest"
            yield Figure(f"Model {name}, {RUNTIME}", "µs a clip", ours, found, Target(1.1, FLOOR), note)


def clip_shape(model: Model) -> tuple[int, ...]:
    """Return the shape of what `Model.scores` takes."""
    features, n_samples = model.manifest.features, model.manifest.clip.n_samples
    return (features.n_frames(n_samples), features.n_features) if features else (n_samples,)


def bare_call(file: Path, index: int = 0) -> Callable[[], object]:
    """Return a call of the interpreter alone: input set, run, output fetched."""
    interpreter = open_interpreter(file, file.read_bytes())
    interpreter.allocate_tensors()
    tensor, output = interpreter.get_input_details()[index], interpreter.get_output_details()[0]
    values = np.random.default_rng(0).standard_normal(tensor["shape"])
    if np.issubdtype(tensor["dtype"], np.integer):
        values *= 64
    values = values.astype(tensor["dtype"])

    def run() -> object:
        interpreter.set_tensor(tensor["index"], values)
        interpreter.invoke()
        return interpreter.get_tensor(output["index"])

    return run


def _repeated(work: Callable[[], object], times: int) -> Callable[[], object]:
    def run() -> None:
        for _ in range(times):
            work()

    return run
