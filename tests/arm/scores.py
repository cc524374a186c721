"""Run the shipped models, and print what they score as JSON: the same on two machines, to compare them.

    scores.py write FILE   hear the demo's sounds; FILE keeps what the models were given, for the other machine
    scores.py read FILE    give them the same, and hear the demo's sounds as well

Printed are "given" and "heard", rows of scores for each model, in quantisation steps of its output; and what ran them.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import numpy as np

import edgeaudio
from edgeaudio.recognise.model import RUNTIME, Model, load_model
from edgeaudio.recognise.shipped import shipped_models
from edgeaudio.recognise.types import Samples

SOUNDS = Path(edgeaudio.__file__).parent / "demo" / "sounds"


class Recorded(Model):
    """A model that keeps what it was given, and what it made of it."""

    def __init__(self, model: Model) -> None:
        super().__init__(model.manifest, model.path, model._interpreter)
        self.step = float(self._output["quantization"][0])
        self.given: list[Samples] = []
        self.rows: list[list[float]] = []

    def scores(self, values: Samples) -> Samples:
        scores = super().scores(values)
        self.given.append(values)
        self.rows.append([float(score) / self.step for score in scores])
        return scores


def main() -> None:
    order, file = sys.argv[1], Path(sys.argv[2])
    given = {name: Recorded(load_model(path)) for name, path in shipped_models().items()}
    heard = {name: Recorded(model) for name, model in given.items()}
    for sound in sorted(SOUNDS.glob("*.opus")):
        for _ in edgeaudio.listen(sound, list(heard.values())):
            pass
    if order == "write":
        np.savez(file, allow_pickle=False, **{name: np.stack(model.given) for name, model in heard.items()})
    with np.load(file) as kept:
        for name, model in given.items():
            for values in kept[name]:
                model.scores(values)
    rows = {"given": given, "heard": heard}
    told = {what: {name: model.rows for name, model in models.items()} for what, models in rows.items()}
    print(json.dumps({"python": platform.python_version(), "numpy": np.__version__, "runtime": RUNTIME, **told}))


if __name__ == "__main__":
    main()
