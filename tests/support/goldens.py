"""The golden files of tests/recognise, and how far from them edgeaudio's features are.

Also a program: `python -m support.goldens` prints the worst `excess` of all cases, for tests of other processors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from support.rounding import tolerance

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import features
from edgeaudio.types import Samples

GOLDEN = Path(__file__).parents[1] / "recognise" / "golden"
LIBRARIES = ("librosa", "torchaudio", "tf_signal", "tf_ops", "kaldi", "psf", "edge_impulse")
FILTERS_IN_FLOAT32 = ("torchaudio", "tf_signal", "kaldi")


@dataclass(frozen=True)
class Golden:
    """What a library computes of the sound, and the parameters with which edgeaudio computes the same."""

    library: str
    case: str
    config: FeatureConfig
    expected: Samples


def config_of(text: str) -> FeatureConfig:
    """The parameters from their JSON."""
    values: dict[str, Any] = json.loads(text)
    values |= {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return FeatureConfig(**values)


def goldens() -> Iterator[Golden]:
    for library in LIBRARIES:
        with np.load(GOLDEN / f"{library}.npz") as file:
            for key in file.files:
                if key.endswith(".config"):
                    case = key.removesuffix(".config")
                    config = config_of(str(file[key]))
                    yield Golden(library, case, config, file[f"{case}.result"])


def sound() -> Samples:
    with np.load(GOLDEN / "signal.npz") as file:
        samples: Samples = (file["samples"] / 32768).astype(np.float32)
    return samples


def excess(result: Samples, golden: Golden) -> float:
    """The worst difference from the golden, as a share of what float32 leaves open: above 1 it is a real one."""
    samples = sound()
    shape = (golden.config.n_frames(len(samples)), golden.config.n_features)
    assert result.shape == golden.expected.shape == shape
    assert result.dtype == np.float32
    allowed = tolerance(samples, golden.config, filters_in_float32=golden.library in FILTERS_IN_FLOAT32)
    apart = np.abs(result.astype(np.float64) - golden.expected)
    return float((apart / np.maximum(allowed, 1e-30)).max())  # silence is 0, exactly


if __name__ == "__main__":
    print(max(excess(features(sound(), golden.config), golden) for golden in goldens()))
