"""Constant tables of the features: windows, mel filter banks, DCT matrices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.types import Samples

Floats = NDArray[np.floating]
MAX_KNOWN = 16  # configurations


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The tables of one configuration; an empty one where its kind of feature has none."""

    window: Samples  # (frame_length,)
    mel_filters: Samples  # (n_fft // 2 + 1, n_mels)
    dct_matrix: Samples  # (n_mels, n_mfcc)


_known: dict[int, tuple[FeatureConfig, Tables]] = {}


def tables(config: FeatureConfig) -> Tables:
    """Return the tables of a configuration, without the time that hashing its many fields takes."""
    known = _known.get(id(config))
    if known is not None and known[0] is config:
        return known[1]
    none: Samples = np.empty((0, 0), np.float32)
    made = Tables(
        window=window(config),
        mel_filters=none if config.kind == "spectrogram" else mel_filters(config),
        dct_matrix=dct_matrix(config) if config.kind == "mfcc" else none,
    )
    if len(_known) >= MAX_KNOWN:
        _known.clear()
    _known[id(config)] = config, made  # with the configuration, whose number no other has while it is kept
    return made


def hz_to_mel(hz: Floats | float, scale: Literal["slaney", "htk"]) -> Floats:
    """Convert Hz to mel.

    Slaney: linear to 1 kHz, logarithmic above (Auditory Toolbox 1998). HTK: 2595 log10(1 + f/700).
    """
    hz = np.asarray(hz, dtype=np.float64)
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    return np.where(hz < 1000.0, hz * 3 / 200, 15.0 + np.log(np.maximum(hz, 1000.0) / 1000.0) * (27 / np.log(6.4)))


def mel_to_hz(mel: Floats, scale: Literal["slaney", "htk"]) -> Floats:
    """Convert mel to Hz, the inverse of `hz_to_mel`."""
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    return np.where(mel < 15.0, mel * 200 / 3, 1000.0 * np.exp((mel - 15.0) * (np.log(6.4) / 27)))


@lru_cache(maxsize=16)
def mel_filters(config: FeatureConfig) -> Samples:
    """Return the triangular filter bank, float32 `(n_fft // 2 + 1, n_mels)`, to multiply spectra from the right."""
    bins_hz = np.arange(config.n_fft // 2 + 1) * (config.sample_rate / config.n_fft)
    low, high = hz_to_mel(config.fmin, config.mel_scale), hz_to_mel(config.upper_hz, config.mel_scale)
    edges_mel = np.linspace(low, high, config.n_mels + 2)
    edges_hz = mel_to_hz(edges_mel, config.mel_scale)
    if config.mel_slopes == "hz":
        edges, points = edges_hz, bins_hz
    elif config.mel_slopes == "mel":
        edges, points = edges_mel, hz_to_mel(bins_hz, config.mel_scale)
    else:
        edges = np.floor((config.n_fft + 1) * edges_hz / config.sample_rate)
        points = np.arange(len(bins_hz), dtype=np.float64)
    widths = np.diff(edges)
    with np.errstate(divide="ignore", invalid="ignore"):  # two edges in one bin make an empty slope
        rising = (points[:, None] - edges[None, :-2]) / widths[None, :-1]
        falling = (edges[None, 2:] - points[:, None]) / widths[None, 1:]
    if config.mel_slopes == "bin":
        rising = np.where(points[:, None] < edges[None, 1:-1], rising, np.inf)
        falling = np.where(points[:, None] >= edges[None, 1:-1], falling, np.inf)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters[~np.isfinite(filters)] = 0.0
    if config.mel_slopes == "mel":
        filters[0] = 0.0  # tf.signal and Kaldi omit the DC bin
    if config.norm == "slaney":
        filters *= 2.0 / (edges_hz[2:] - edges_hz[:-2])
    return filters.astype(np.float32)


@lru_cache(maxsize=16)
def dct_matrix(config: FeatureConfig) -> Samples:
    """Return the DCT matrix with lifter, float32 `(n_mels, n_mfcc)`. Definitions as in scipy.fft.dct."""
    n = config.n_mels
    k = np.arange(config.n_mfcc)[None, :]
    j = np.arange(n)[:, None]
    if config.dct_type == 1:
        basis = 2.0 * np.cos(np.pi * k * j / (n - 1))
        basis[0] /= 2
        basis[-1] /= 2
        if config.dct_norm == "ortho":
            basis[[0, -1]] *= np.sqrt(2)
            basis *= 0.5 * np.sqrt(2 / (n - 1))
            basis[:, (k[0] == 0) | (k[0] == n - 1)] /= np.sqrt(2)
    elif config.dct_type == 2:
        basis = 2.0 * np.cos(np.pi * k * (2 * j + 1) / (2 * n))
        if config.dct_norm != "none":
            basis *= np.sqrt(1 / (2 * n))
        if config.dct_norm == "ortho":
            basis[:, 0] /= np.sqrt(2)
    else:
        basis = 2.0 * np.cos(np.pi * (2 * k + 1) * j / (2 * n))
        basis[0] /= 2
        if config.dct_norm == "ortho":
            basis *= np.sqrt(1 / (2 * n))
            basis[0] *= np.sqrt(2)
    if config.lifter:
        index = k + config.lifter_from
        basis = basis * (1 + (config.lifter / 2) * np.sin(np.pi * index / config.lifter))
    return basis.astype(np.float32)


@lru_cache(maxsize=16)
def window(config: FeatureConfig) -> Samples:
    """Return the window, float32 `(frame_length,)`, zero-padded to the frame if `win_align` is "centre"."""
    length = config.window_length
    phase = 2 * np.pi * np.arange(length) / max(1, length if config.periodic else length - 1)
    shapes = {
        "hann": 0.5 - 0.5 * np.cos(phase),
        "hamming": 0.54 - 0.46 * np.cos(phase),
        "blackman": 0.42 - 0.5 * np.cos(phase) + 0.08 * np.cos(2 * phase),
        "povey": (0.5 - 0.5 * np.cos(phase)) ** 0.85,
        "rectangular": np.ones(length),
    }
    left = (config.frame_length - length) // 2
    right = config.frame_length - length - left
    return np.pad(shapes[config.window], (left, right)).astype(np.float32)
