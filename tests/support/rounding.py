"""How far two right computations of one feature can be apart: what float32 leaves open, stage by stage.

In what order a processor adds (AVX2, AVX-512 and NEON differ), and with it every rounding, is not the code's to choose.
The error of a sum of n addends is at most about LAMBDA sqrt(n) U times the sum of their magnitudes (Higham and Mary,
"A new approach to probabilistic rounding error analysis", 2019); U is half a step of float32 at 1. Here each stage of
`features` is done in float64, and beside its values goes the error that float32 may have made by then.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import CMVN_FLOOR, STANDARD_DEVIATION_FLOOR
from edgeaudio.recognise.filters import dct_matrix, hz_to_mel, mel_filters, mel_to_hz, window
from edgeaudio.types import Samples

Floats = NDArray[np.float64]
U = 2.0**-24
LAMBDA = 4.0


def tolerance(samples: Samples, config: FeatureConfig, *, filters_in_float32: bool = False) -> Floats:
    """How far two computations of `features` may be apart, for each number: `(n_frames, n_features)`.

    `filters_in_float32`: the other one is of a library that computes its mel filters in float32.
    """
    rows, error = _rows(samples, config, filters_in_float32=filters_in_float32)
    bands, of_bands = rows[:, : config.n_bands], error[:, : config.n_bands]
    if config.ref == "max" or config.top_db:
        # what is subtracted, or what is cut to, has the error of the clip's maximum
        of_bands = of_bands + of_bands.flat[bands.argmax()]
    if config.ref == "max":
        bands = bands - bands.max()
    if config.top_db:
        bands = np.maximum(bands, bands.max() - config.top_db)
    if config.kind == "mfcc":
        dct = np.abs(dct_matrix(config).astype(np.float64))
        # sums of n_mels addends; the errors that those bring along add like random ones
        of_sums = _sum(config.n_mels) * (np.abs(bands) @ dct)
        made = of_sums + np.sqrt(of_bands**2 @ dct**2)
        made[:, : rows.shape[1] - config.n_mels] = error[:, config.n_mels :]
        of_bands, bands = made, bands @ dct_matrix(config)
    if config.cmvn_window:
        pad = ((config.cmvn_window // 2,) * 2, (0, 0))
        around = lambda rows: sliding_window_view(np.pad(rows, pad, mode="symmetric"), config.cmvn_window, axis=0)  # noqa: E731 (once)
        centred = bands - around(bands).mean(axis=-1)
        std = around(centred).std(axis=-1) + CMVN_FLOOR
        # the mean has the errors of all that it is made of, and so has the deviation
        made = of_bands + around(of_bands).mean(axis=-1) + _sum(config.cmvn_window) * around(np.abs(bands)).max(axis=-1)
        bands = centred / std
        of_bands = (made + np.abs(bands) * around(made).max(axis=-1)) / std
    if config.standardize:
        spread = float(bands.std()) + STANDARD_DEVIATION_FLOOR
        bands = (bands - bands.mean()) / spread
        # the errors of the clip's own mean and standard deviation move every value
        of_bands = (of_bands + of_bands.mean() + np.abs(bands) * np.sqrt(np.mean(of_bands**2))) / spread
        of_bands = of_bands + _sum(bands.size) * (1 + np.abs(bands))
    of_bands = of_bands + _sum(2) * np.abs(np.asarray(config.mean or 0.0))
    allowed: Floats = 2 * of_bands / np.asarray(config.std or 1.0)
    return allowed


def _rows(samples: Samples, config: FeatureConfig, *, filters_in_float32: bool) -> tuple[Floats, Floats]:
    """The logarithms of the mel energies, and of the frame's energy where it is c0, with the errors of both."""
    signal = samples.astype(np.float64) * config.sample_scale
    raw = frames = _frames(signal, config)
    if config.preemphasis and config.preemphasis_over == "signal":
        frames = _frames(signal - config.preemphasis * np.append(0.0, signal[:-1]), config)
    if config.remove_dc:
        frames = frames - frames.mean(axis=1, keepdims=True)
    energy = np.square(frames).sum(axis=1, keepdims=True)
    if config.preemphasis and config.preemphasis_over == "frame":
        frames = frames - config.preemphasis * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    taps = window(config).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(frames * taps, config.n_fft, axis=1))
    # each of the log2(n) passes of an FFT rounds sums as large as the frame's norm, whatever is left in a bin; the norm
    # is that before mean and pre-emphasis are subtracted, for their addends are as large as that
    of_spectrum = _sum(np.log2(config.n_fft)) * np.sqrt(np.square(raw * taps).sum(axis=1, keepdims=True))
    if config.power == 2:
        spectrum, of_spectrum = spectrum**2, 2 * spectrum * of_spectrum + of_spectrum**2
    spectrum, of_spectrum = config.spectrum_scale * spectrum, config.spectrum_scale * of_spectrum
    if config.kind == "spectrogram":
        filters = np.eye(config.n_fft // 2 + 1)[:, config.first_bin :][:, : config.n_bands]
    else:
        filters = mel_filters(config).astype(np.float64)
    values = spectrum @ filters
    error = np.sqrt(np.broadcast_to(of_spectrum, spectrum.shape) ** 2 @ filters**2)
    error = error + _sum(np.count_nonzero(filters, axis=0)) * values
    if filters_in_float32 and config.kind != "spectrogram":
        # a filter's edges are rounded, which moves its slopes, the steeper the more
        error = error + spectrum @ (filters > 0) * (_sum(1) * _steepness(config)) * filters.max(axis=0)
    if config.c0 != "dct":
        of_energy = _sum(config.n_fft) * np.sqrt(energy * np.square(raw).sum(axis=1, keepdims=True))
        if config.c0 == "spectrum_energy":
            energy = spectrum.sum(axis=1, keepdims=True)
            of_energy = _sum(config.n_fft) * energy + of_spectrum.sum(axis=1, keepdims=True)
        values = np.concatenate([values, energy], axis=1)
        error = np.concatenate([error, of_energy], axis=1)
    if config.log == "none":
        return values, error
    middle, low, high = (_logarithm(each, config) for each in (values, values - error, values + error))
    # the logarithm itself, its scale and its reference are a few roundings more
    return middle, np.maximum(high - middle, middle - low) + _sum(4) * np.abs(middle)


def _steepness(config: FeatureConfig) -> Floats:
    """How much the rounding of a filter's edges moves its weights, of which the highest is 1."""
    low, high = hz_to_mel(config.fmin, config.mel_scale), hz_to_mel(config.upper_hz, config.mel_scale)
    edges: Floats = np.linspace(low, high, config.n_mels + 2, dtype=np.float64)
    rounded = edges + 1127.0  # the 1 in 1127 ln(1 + hz / 700) keeps small numbers from being exact
    if config.mel_slopes == "hz":
        edges = mel_to_hz(edges, config.mel_scale).astype(np.float64)
        rounded = edges + 700.0
    widths = np.diff(edges)
    steepness: Floats = rounded[2:] / np.minimum(widths[:-1], widths[1:])
    return steepness


def _frames(signal: Floats, config: FeatureConfig) -> Floats:
    if config.center:
        signal = np.pad(signal, config.padding, mode=config.pad_mode)
    padded = np.pad(signal, (0, config.pad_end))
    return sliding_window_view(padded, config.frame_length)[:: config.hop_length]


def _logarithm(values: Floats, config: FeatureConfig) -> Floats:
    values = np.maximum(np.maximum(values, 0) + config.log_offset, max(config.log_floor, 1e-300))
    scale = {"ln": 1.0, "log10": 1 / np.log(10), "db": 10 * (3 - config.power) / np.log(10)}[config.log]
    logs: Floats = scale * np.log(values)
    return logs


def _sum(n: Any) -> Any:
    """The error of a sum of n addends, as a share of the sum of their magnitudes."""
    return LAMBDA * np.sqrt(n) * U
