"""Feature parameters of every kind, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from edgeaudio.recognise.feature_config import FeatureConfig


@st.composite
def feature_configs(
    draw: st.DrawFn, kind: Any, sample_rate: int, means: st.SearchStrategy[float], *, min_hop: int = 1
) -> FeatureConfig:
    n_fft, n_mels = draw(st.integers(200, 1024)), draw(st.integers(2, 64))
    n_features = draw(st.integers(1, n_mels)) if kind == "mfcc" else n_mels
    center = draw(st.booleans())
    options: dict[str, Any] = {
        "win_length": draw(st.integers(100, 200) | st.just(0)),
        "window": draw(st.sampled_from(["hann", "hamming", "blackman", "povey", "rectangular"])),
        "periodic": draw(st.booleans()),
        "win_align": draw(st.sampled_from(["centre", "start"])),
        "center": center,
        "pad_mode": draw(st.sampled_from(["constant", "reflect"])),
        "pad_end": 0 if center else draw(st.integers(0, 99)),
        "preemphasis": draw(st.floats(0, 0.999)),
        "preemphasis_over": draw(st.sampled_from(["signal", "frame"])),
        "remove_dc": draw(st.booleans()),
        "power": draw(st.sampled_from([1, 2])),
        "fmin": draw(st.floats(0, 100)),
        "fmax": draw(st.just(0.0) | st.floats(101, sample_rate / 2)),
        "log": draw(st.sampled_from(["db", "log10", "ln"])),
        "log_floor": draw(st.floats(1e-12, 1)),
        "top_db": draw(st.just(0.0) | st.floats(1, 100)),
        "ref": draw(st.just("max") | st.floats(1e-3, 1e3)),
        "mean": tuple(draw(st.lists(means, min_size=n_features, max_size=n_features) | st.just([]))),
        "cmvn_window": draw(st.sampled_from([0, 0, 3, 21])),
        "standardize": draw(st.booleans()),
        "std": tuple(draw(st.lists(st.floats(0.5, 50), max_size=1))),
        "clip_min": draw(st.none() | st.floats(-10, 0)),
        "clip_max": draw(st.none() | st.floats(0, 10)),
    }
    if kind == "mfcc":
        options |= {"n_mfcc": n_features, "c0": draw(st.sampled_from(["dct", "sample_energy", "spectrum_energy"]))}
    if kind == "spectrogram":
        n_mels, options = (
            0,
            options | {"fmin": 0.0, "fmax": 0.0, "first_bin": draw(st.integers(0, 30)), "n_bins": n_mels},
        )
    return FeatureConfig(kind, sample_rate, n_fft, draw(st.integers(min_hop, 512)), n_mels, **options)
