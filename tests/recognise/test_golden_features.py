"""edgeaudio's features against the numbers of the libraries that models are trained with (golden/make.py).

How far the two may be apart is worked out for each number from what float32 leaves open (support/rounding.py): a
processor's own order of adding passes, a wrong window, edge or factor does not.
"""

import dataclasses
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.goldens import excess, goldens, sound

from edgeaudio.recognise.clips import ClipConfig, ClipCutter
from edgeaudio.recognise.features import features

GOLDENS = [pytest.param(golden, id=f"{golden.library}-{golden.case}") for golden in goldens()]
# OpenBLAS's kernels, each with what Linux says that a processor has for it
CORES = {
    "x86_64": {
        "Prescott": {"pni"},
        "Nehalem": {"sse4_2"},
        "Sandybridge": {"avx"},
        "Haswell": {"avx2", "fma"},
        "SkylakeX": {"avx512f", "avx512bw", "avx512vl"},
    },
    "aarch64": {"ARMV8": {"asimd"}, "NEOVERSEN1": {"asimddp"}},
}
LINES = [
    line.split() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("flags", "Features"))
]
HERE = {word for words in LINES for word in words}
CORES_HERE = [core for core, needs in CORES.get(platform.machine(), {}).items() if needs <= HERE]


@pytest.mark.parametrize("golden", GOLDENS)
def test_features_equal_the_libraries_own(golden):
    assert excess(features(sound(), golden.config), golden) < 1


@pytest.mark.parametrize("golden", GOLDENS)
def test_features_of_a_stream_equal_the_libraries_own(golden):
    """The clip in the middle of a longer signal, its frames computed across clips."""
    config = golden.config
    lead = 7 * config.hop_length
    signal = np.concatenate([np.linspace(0.3, -0.3, lead, dtype=np.float32), sound()])
    period_s = config.hop_length / config.sample_rate
    cutter = ClipCutter(ClipConfig(config.sample_rate, len(sound()), period_s, config), gate_dbfs=-200.0)
    pieces = np.array_split(signal, range(0, len(signal), 999))
    cuts = {cut.start: cut.values for piece in pieces for cut in cutter.feed(piece)}
    assert sorted(cuts) == [i * config.hop_length for i in range(8)]
    streamed = cuts[lead]
    assert streamed is not None
    assert excess(streamed, golden) < 1


@pytest.mark.parametrize("golden", GOLDENS)
def test_a_real_difference_is_seen(golden):
    """Of every case a hertz at the filters' upper edge, a sample of the window, and a thousandth of the level."""
    config = golden.config
    hertz = config.sample_rate / config.n_fft if config.mel_slopes == "bin" else 1.0  # edges are moved to bins
    changes = {
        "fmax": {"fmax": config.upper_hz - hertz},
        "window": {"periodic": not config.periodic},
        "level": {"sample_scale": config.sample_scale * 1.001},
    }
    if config.window == "rectangular":
        del changes["window"]  # it has no shape to move
    if (config.ref == "max" and config.kind == "log_mel") or config.standardize or config.cmvn_window:
        del changes["level"]  # it is relative to the clip's own
    if config.kind == "spectrogram":
        del changes["fmax"]  # bins have no edges to move
    for what, change in changes.items():
        other = dataclasses.replace(config, **change)
        assert excess(features(sound(), other), golden) > 1, what


@pytest.mark.parametrize("vectors", ["as it is", "none"])
@pytest.mark.parametrize("core", ["as it is", *CORES_HERE])
def test_features_are_equal_on_other_processors(core, vectors):
    """On each that OpenBLAS takes this one for, and (`vectors`) with nothing in NumPy that old ones lack."""
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1]))
    if core != "as it is":
        environment["OPENBLAS_CORETYPE"] = core
    if vectors == "none":
        found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
        environment["NPY_DISABLE_CPU_FEATURES"] = " ".join(found)
    command = [sys.executable, "-m", "support.goldens"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1
