"""microWakeWord's own models: the scores are those of pymicro-wakeword (golden/make.py), step by step.

The models come with that package, which the extra `test` brings; it is not run.
"""

import hashlib
import platform
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from support.programs import missing
from support.tflite import manifest_of

from edgeaudio.recognise import interpreter as interpreter_module
from edgeaudio.recognise.interpreter import RUNTIME
from edgeaudio.recognise.model import build_model

with np.load(Path(__file__).parent / "golden" / "wake_words.npz") as _file:
    ROWS = _file["rows"].astype(np.float32)
    EXPECTED = {name: _file[name] for name in _file.files if name != "rows"}
# LiteRT's own kernels and those of the package's library are the same; XNNPACK's, and those of 2023, round otherwise
KERNELS_APART = 0.06


def scores_of(name):
    package = find_spec("pymicro_wakeword")
    if package is None or not package.origin:
        missing("PyPI's pymicro-wakeword (extra `wake-words`)")
    file = Path(package.origin).parent / "models" / f"{name}.tflite"
    content = file.read_bytes()
    manifest = manifest_of("wake_word", labels=(name,), sha256=hashlib.sha256(content).hexdigest())
    stream = build_model(manifest, file, content).stream()
    steps = ROWS[: len(ROWS) // 3 * 3].reshape(-1, 3, 40)
    return np.array([stream.scores(step)[0] for step in steps])


@pytest.mark.parametrize("name", EXPECTED)
def test_every_score_is_that_of_the_models_own_library(name):
    found = scores_of(name)
    assert EXPECTED[name].max() > 0.9
    assert np.abs(found - EXPECTED[name]).max() <= KERNELS_APART
    # the word is heard when the library hears it
    means = [np.convolve(values, np.full(5, 0.2), "valid") for values in (found, EXPECTED[name])]
    heard = [int(np.argmax(mean > 0.5)) for mean in means]
    assert abs(heard[0] - heard[1]) <= 1


@pytest.mark.skipif(
    RUNTIME != "ai-edge-litert" or platform.machine() != "x86_64",
    reason="kernels round as their runtime and processor have it",
)
@pytest.mark.parametrize("name", EXPECTED)
def test_with_the_same_kernels_every_score_is_equal_to_the_last_bit(name, monkeypatch):
    from ai_edge_litert.interpreter import OpResolverType  # noqa: PLC0415 (not in every installation)

    real = vars(interpreter_module)["Interpreter"]
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    monkeypatch.setattr(interpreter_module, "Interpreter", partial(real, experimental_op_resolver_type=kernels))
    np.testing.assert_array_equal(scores_of(name), EXPECTED[name])
