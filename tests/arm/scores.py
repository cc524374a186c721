"""Run the bundled models, and print what they score as JSON: the same on two machines, to compare them.

    scores.py write FILE   hear the demo's sounds; FILE keeps what the models were given, for the other machine
    scores.py read FILE    give them the same

Printed are rows of scores for each model, in quantisation steps of its output: "installed" is what the runtime makes of
what the models were given, "reference" what TFLite's reference kernels make of it; and besides them what ran, and each
model's thresholds in steps.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import edgeaudio
from edgeaudio.recognise.bundled_models import bundled_models
from edgeaudio.recognise.interpreter import RUNTIME
from edgeaudio.recognise.model import Model, load_model
from edgeaudio.types import Samples

SOUNDS = Path(edgeaudio.__file__).parent / "demo" / "sounds"


class Recorded(Model):
    """A model that keeps what it is given."""

    def __init__(self, model: Model) -> None:
        super().__init__(model.manifest, model.path, model._interpreter)
        self.given: list[Samples] = []

    def scores(self, values: Samples) -> Samples:
        self.given.append(values)
        return super().scores(values)


def step(model: Model) -> float:
    """Return the quantisation step of its output."""
    return float(model._output["quantization"][0])


def thresholds(model: Model) -> list[float]:
    """Return, score by score and in steps, from where on the detector hears the sound."""
    manifest = model.manifest
    return [manifest.threshold(name).on / step(model) for name in (*manifest.labels, *manifest.groups)]


def with_reference_kernels(model: Model) -> Model:
    """Return the same model, run by the kernels that TFLite defines the others by: neither XNNPACK nor vectors."""
    runtime = type(model._interpreter)
    resolver = sys.modules[runtime.__module__].OpResolverType.BUILTIN_REF
    interpreter = runtime(model_path=str(model.path), num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    return Model(model.manifest, model.path, interpreter)


def kernels(models: Iterable[Model]) -> str:
    """Return what runs the models, for some or all of their operations."""
    delegated = [any(op["op_name"] == "DELEGATE" for op in model._interpreter._get_ops_details()) for model in models]
    return "XNNPACK" if all(delegated) else "TFLite's own"


def main() -> None:
    order, file = sys.argv[1], Path(sys.argv[2])
    loaded = {name: load_model(path) for name, path in bundled_models().items()}
    installed = {name: model for name, model in loaded.items() if isinstance(model, Model)}
    reference = {name: with_reference_kernels(model) for name, model in installed.items()}
    if order == "write":
        recorded = {name: Recorded(model) for name, model in installed.items()}
        for sound in sorted(SOUNDS.glob("*.opus")):
            for _ in edgeaudio.listen(sound, list(recorded.values())):
                pass
        np.savez(file, allow_pickle=False, **{name: np.stack(model.given) for name, model in recorded.items()})
    told: dict[str, Any] = {"python": platform.python_version(), "numpy": np.__version__, "runtime": RUNTIME}
    told["kernels"] = kernels(installed.values())
    told["thresholds"] = {name: thresholds(model) for name, model in installed.items()}
    with np.load(file) as kept:
        for what, models in {"installed": installed, "reference": reference}.items():
            told[what] = {
                name: [(model.scores(values) / step(model)).tolist() for values in kept[name]]
                for name, model in models.items()
            }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
