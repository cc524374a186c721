"""Spectrogram, log-mel and MFCC features in NumPy, in the conventions that sound models are trained with.

Owns: the arithmetic from samples to features. Training, conversion and the device all call this module, so that they
compute the same numbers.
Does not know: streams, overlapping clips, models, quantisation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise.buffer import windows_of
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.filters import tables
from edgeaudio.types import Samples

# frames computed at once: their spectra fit a small processor's cache, which halves the time
BLOCK = 64
CMVN_FLOOR = 2.0**-30  # added to the deviations, as speechpy does
STANDARD_DEVIATION_FLOOR = 1e-7  # added to the deviation, as TensorFlow.js does: digital silence stays 0


def frame_features(segment: Samples, previous: float, config: FeatureConfig) -> Samples:
    """Return features of the consecutive frames of a segment, up to the steps that need the whole clip.

    segment: float32 `(n_samples,)`; the first frame begins with its first sample.
    previous: the sample before it, for pre-emphasis over the signal.
    Returns float32 `(n_frames, row_width)`, after the logarithm, for `clip_features`.
    """
    return _rows(_emphasised(segment, previous, config), config)


def _rows(signal: Samples, config: FeatureConfig) -> Samples:
    frames = windows_of(signal, config.frame_length, config.hop_length)
    blocks = [_energies(frames[start : start + BLOCK], config) for start in range(0, len(frames), BLOCK)]
    return _logarithm(blocks[0] if len(blocks) == 1 else np.concatenate(blocks), config)


def _energies(frames: Samples, config: FeatureConfig) -> Samples:
    """Return bins or mel energies `(n_frames, row_width)` of frames `(n_frames, frame_length)`."""
    if config.remove_dc:
        frames = frames - frames.mean(axis=1, keepdims=True)
    energy: Samples = np.square(frames).sum(axis=1, keepdims=True) if config.c0 == "sample_energy" else frames[:, :0]
    if config.preemphasis and config.preemphasis_over == "frame":
        before: Samples = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        frames = frames - np.float32(config.preemphasis) * before
    spectrum = np.fft.rfft(frames * tables(config).window, n=config.n_fft, axis=1)
    if config.power == 2:
        magnitude = np.square(spectrum.real)
        magnitude += np.square(spectrum.imag)
    else:
        magnitude = np.abs(spectrum)
    # NumPy 1 computes the FFT in double precision
    scaled: Samples = magnitude.astype(np.float32, copy=False)
    if config.spectrum_scale != 1.0:
        scaled = scaled * np.float32(config.spectrum_scale)
    if config.c0 == "spectrum_energy":
        energy = scaled.sum(axis=1, keepdims=True)
    if config.kind == "spectrogram":
        return scaled[:, config.first_bin : config.first_bin + config.n_bands]
    bands: Samples = scaled @ tables(config).mel_filters
    return np.concatenate([bands, energy], axis=1) if energy.size else bands


def clip_features(rows: Samples, config: FeatureConfig) -> Samples:
    """Apply the steps that need a whole clip, and those after them: reference, top_db, DCT, normalisation.

    rows: float32 `(n_frames, row_width)` from `frame_features`. Returns float32 `(n_frames, n_features)`.
    """
    rows, energy = rows[:, : config.n_bands], rows[:, config.n_bands :]
    if config.ref == "max":
        rows = rows - rows.max()
    if config.top_db:
        rows = np.maximum(rows, rows.max() - np.float32(config.top_db))
    if config.kind == "mfcc":
        rows = rows @ tables(config).dct_matrix
        rows[:, : energy.shape[1]] = energy
    if config.cmvn_window:
        rows = _normalised(rows, config.cmvn_window)
    if config.standardize:
        exact = rows.astype(np.float64)  # in float32 the mean of equal values can miss them
        rows = ((exact - exact.mean()) / (exact.std() + STANDARD_DEVIATION_FLOOR)).astype(np.float32)
    if config.mean:
        rows = rows - np.asarray(config.mean, dtype=np.float32)
    if config.std:
        rows = np.divide(rows, np.asarray(config.std, dtype=np.float32))
    if config.clip_min is not None or config.clip_max is not None:
        rows = np.clip(rows, config.clip_min, config.clip_max)
    return np.ascontiguousarray(rows, dtype=np.float32)


def _normalised(rows: Samples, window: int) -> Samples:
    """Subtract from each row the mean of the window around it, and divide by the deviation: speechpy's `cmvnw`.

    The clip is mirrored at its ends.
    """
    centred = rows - _means(rows, window)
    variance = np.maximum(_means(centred**2, window) - _means(centred, window) ** 2, 0.0)
    return (centred / (np.sqrt(variance) + CMVN_FLOOR)).astype(np.float32)


def _means(values: Samples | NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return means over the window around each row, by cumulative sums."""
    padded = np.pad(values, ((window // 2, window // 2), (0, 0)), mode="symmetric")
    sums = np.cumsum(padded, axis=0, dtype=np.float64)
    sums = np.concatenate([np.zeros((1, values.shape[1])), sums])
    means: NDArray[np.float64] = (sums[window:] - sums[:-window]) / window
    return means


def features(samples: Samples, config: FeatureConfig) -> Samples:
    """Return the features of one whole clip.

    samples: float32 `(n_samples,)` in [-1, 1] at `config.sample_rate`, of at least one frame.
    Returns float32 `(n_frames, n_features)`. Equal to librosa's `power_to_db(melspectrogram(...)).T`
    and `mfcc(...).T` within 1e-3 for the same parameters.
    """
    return clip_features(edge_rows(samples, slice(None), config), config)


def edge_rows(samples: Samples, frames: slice, config: FeatureConfig) -> Samples:
    """Return rows of chosen frames of a clip, float32 `(n_chosen, row_width)`, padded as the clip alone would be."""
    first, stop, _ = frames.indices(config.n_frames(len(samples)))
    if stop <= first:
        return np.empty((0, config.row_width), dtype=np.float32)
    if config.kind == "micro_frontend":
        from edgeaudio.recognise.micro_frontend import MicroFrontend  # noqa: PLC0415 (few models want it)

        return MicroFrontend(config).rows(samples)[frames]
    signal = _emphasised(samples, 0.0, config)
    if config.center:
        signal = np.pad(signal, config.padding, mode=config.pad_mode)
    elif config.pad_end:
        signal = np.pad(signal, (0, config.pad_end))
    end = (stop - 1) * config.hop_length + config.frame_length
    return _rows(signal[first * config.hop_length : end], config)


def _emphasised(samples: Samples, previous: float, config: FeatureConfig) -> Samples:
    if config.sample_scale != 1.0:
        samples = samples * np.float32(config.sample_scale)
        previous *= config.sample_scale
    if config.preemphasis and config.preemphasis_over == "signal":
        before: Samples = np.concatenate([np.full(1, previous, dtype=np.float32), samples[:-1]])
        samples = samples - np.float32(config.preemphasis) * before
    return samples


def _logarithm(energies: Samples, config: FeatureConfig) -> Samples:
    if config.log == "none":
        return energies
    values = energies + np.float32(config.log_offset) if config.log_offset else energies
    if config.log_floor:
        values = np.maximum(values, np.float32(config.log_floor))
    if config.log == "ln":
        scale = 1.0
        logs = np.log(values)
    else:
        scale = (10.0 if config.power == 2 else 20.0) if config.log == "db" else 1.0
        logs = np.log10(values) * np.float32(scale)
    if config.ref not in (1.0, "max"):
        reference = max(float(config.ref), config.log_floor)
        logs -= np.float32(scale * (np.log(reference) if config.log == "ln" else np.log10(reference)))
    return logs
