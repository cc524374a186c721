"""Features of TensorFlow Lite Micro's audio front end ("microfrontend"): mel levels without their noise, as integers.

Owns: the arithmetic from 16-bit samples to features, and the noise estimate that goes on from frame to frame.
Does not know: streams, clips, models, quantisation.

Specification: TensorFlow, tensorflow/lite/experimental/microfrontend/lib, Apache-2.0, with kissfft's FFT of 16-bit
integers. The original computes in fixed point, and every rounding shows in its features: this module computes the same
integers, also where they wrap, so that its results are equal to the last bit on every machine, in pieces of any length.
The constants of noise reduction, gain control and logarithm are those of all known models (micro_speech,
microWakeWord).

Frames are the last axis of all arrays here: the stages of the FFT then work on long rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise.buffer import windows_of
from edgeaudio.recognise.feature_config import MICRO_N_FFT, FeatureConfig
from edgeaudio.types import Samples

Int16s = NDArray[np.int16]
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]

FULL_SCALE: Final = 32768.0  # 16-bit value of a sample of 1
_BLOCK: Final = 64  # frames computed at once: their spectra fit a small processor's cache
_WINDOW_BITS, _FILTER_BITS = 12, 12  # fraction bits of the window and of the filters
_N_COMPLEX: Final = MICRO_N_FFT // 2
_CORRECTION_BITS: Final = MICRO_N_FFT.bit_length() - 1 - _FILTER_BITS // 2  # from the filters' scale to that of samples
_NOISE_BITS: Final = 14  # fraction bits of the smoothing
_ESTIMATE_BITS: Final = 10  # fraction bits of the noise estimate
_SMOOTHING: Final = (0.025, 0.06)  # of the even bands, of the odd ones
_LEAST_LEFT: Final = 0.05  # share of a signal that noise reduction leaves
_GAIN_STRENGTH, _GAIN_OFFSET, _GAIN_BITS = 0.95, 80.0, 21
_SNR_BITS, _OUTPUT_BITS = 12, 6  # fraction bits of the gain's result, before and after it is shrunk
_LOG_SHIFT: Final = 6  # a feature is 64 times a natural logarithm
_LN_2: Final = 45426  # times 65536
_UINT32: Final = 0xFFFF_FFFF


class MicroFrontend:
    """Front end of sound without a hole. Feed the samples of its frames in order."""

    def __init__(self, config: FeatureConfig) -> None:
        self._config = config
        self._estimate: Int64s = np.zeros(config.n_mels, np.int64)  # of the noise

    def rows(self, segment: Samples) -> Samples:
        """Return the features of the next frames, float32 `(n_frames, n_mels)`, whole numbers up to 65535.

        segment: float32 `(n_samples,)` in [-1, 1]; its first sample is the next frame's first. A frame begins
        `hop_length` after the one before it.
        """
        config = self._config
        whole = np.clip(np.rint(segment * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        frames = windows_of(whole, config.frame_length, config.hop_length)
        found = [self._block(frames[start : start + _BLOCK]) for start in range(0, len(frames), _BLOCK)]
        return np.concatenate(found) if found else np.empty((0, config.n_mels), np.float32)

    def _block(self, frames: Int16s) -> Samples:
        levels = band_levels(frames, _tables(self._config))
        quiet, estimates = self._without_noise(levels)
        return np.ascontiguousarray(_logarithm(_gained(quiet, estimates)).T, dtype=np.float32)

    def _without_noise(self, levels: Int64s) -> tuple[Int64s, Int64s]:
        """Return levels less their noise, and the noise estimates, `(n_mels, n_frames)` each."""
        n_bands, n_frames = levels.shape
        smoothing = np.resize([int(np.float32(share) * (1 << _NOISE_BITS)) for share in _SMOOTHING], n_bands)
        scaled = (levels << _ESTIMATE_BITS) & _UINT32
        estimates: Int64s = np.empty((n_frames, n_bands), np.int64)
        inflow = np.ascontiguousarray((scaled * smoothing[:, None]).T)
        kept, estimate = (1 << _NOISE_BITS) - smoothing, self._estimate
        for number, flow in enumerate(inflow):
            np.multiply(estimate, kept, out=estimates[number])
            estimate = estimates[number]
            estimate += flow
            estimate >>= _NOISE_BITS
        self._estimate = estimate.copy()  # a view would keep all of them
        noise = np.minimum(estimates.T, scaled)
        least = (levels * int(np.float32(_LEAST_LEFT) * (1 << _NOISE_BITS))) >> _NOISE_BITS
        return np.maximum((scaled - noise) >> _ESTIMATE_BITS, least), estimates.T


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """Constants of one configuration."""

    window: Int32s  # (frame_length, 1)
    first_bin: int
    filters: NDArray[np.float64]  # (n_mels, n_bins): whole numbers


@lru_cache(maxsize=4)
def _tables(config: FeatureConfig) -> _Tables:
    length = config.frame_length
    phase = np.float32(np.float32(np.pi) * np.float32(2)) / np.float32(length)
    angles = (phase * (np.arange(length, dtype=np.float32) + np.float32(0.5))).astype(np.float64)
    hann = np.float32(0.5) - np.float32(0.5) * np.cos(angles).astype(np.float32)
    window = np.floor(hann * np.float32(1 << _WINDOW_BITS) + np.float32(0.5)).astype(np.int32)
    return _Tables(window[:, None], *_filters(config))


def _filters(config: FeatureConfig) -> tuple[int, NDArray[np.float64]]:
    """Return the first bin, and the weights of the bins from it on, `(n_mels, n_bins)`.

    The slope between two centres falls for the lower one of them and rises for the upper.
    """
    bin_hz = np.float32(0.5 * config.sample_rate) / np.float32(MICRO_N_FFT // 2)
    low, high = _mel(config.fmin), _mel(config.upper_hz)
    spacing = (high - low) / np.float32(config.n_mels + 1)
    edges = low + spacing * np.arange(config.n_mels + 2, dtype=np.float32)  # mels of the centres, and of both ends
    edges = edges.astype(np.float32)
    first = int(np.float32(1.5) + np.float32(config.fmin) / bin_hz)
    mels = _mel(np.arange(MICRO_N_FFT // 2 + 1, dtype=np.float32) * bin_hz)
    above = np.searchsorted(edges[1:], mels, side="left")  # slope in which a bin lies: up to its upper edge
    weights = np.zeros((config.n_mels, MICRO_N_FFT // 2 + 1))
    for index in range(first, int(np.searchsorted(mels, edges[-1], side="right"))):
        slope = int(above[index])
        share = (edges[slope + 1] - mels[index]) / (edges[slope + 1] - edges[slope])
        if slope > 0:
            weights[slope - 1, index] = _fixed(share)
        if slope < config.n_mels:
            weights[slope, index] = _fixed(np.float32(1) - share)
    last = max(np.flatnonzero(weights.any(axis=0)).tolist(), default=first)
    return first, np.ascontiguousarray(weights[:, first : last + 1])


def _mel(hz: Any) -> Any:  # noqa: ANN401 (a number or an array)
    """Convert Hz to mel in float32; the logarithm is rounded once, as good C libraries do."""
    ratio = np.asarray(hz, np.float32) / np.float32(700)
    return np.float32(1127) * np.log1p(ratio.astype(np.float64)).astype(np.float32)


def _fixed(share: np.float32) -> float:
    return float(np.floor(share * np.float32(1 << _FILTER_BITS) + np.float32(0.5)))


def band_levels(frames: Int16s, tables: _Tables) -> Int64s:
    """Return the mel levels of frames `(n_frames, frame_length)`, `(n_mels, n_frames)`."""
    windowed = ((frames.T.astype(np.int32) * tables.window) >> _WINDOW_BITS).astype(np.int16)
    # the absolute value of -32768 is itself, as in the original
    loudest = np.abs(windowed).max(axis=0)
    shift = (15 - _bit_length(loudest)).astype(np.int16)
    padded = np.zeros((MICRO_N_FFT, frames.shape[0]), np.int16)
    np.left_shift(windowed, shift, out=padded[: len(windowed)])
    bins = slice(tables.first_bin, tables.first_bin + tables.filters.shape[1])
    spectrum = _real_spectrum(_complex_spectrum(np.stack([padded[::2], padded[1::2]])))[:, bins].astype(np.int32)
    energies = spectrum[0] * spectrum[0] + spectrum[1] * spectrum[1]
    # exact: sums of less than 2 ** 53
    sums = tables.filters @ energies.astype(np.float64)
    return _rounded_root(sums) >> shift


def _complex_spectrum(values: Int16s) -> Int16s:
    """Return the spectrum of complex values `(2, 256, n_frames)`, divided by 256: four stages of radix 4.

    Each stage replaces a digit of the sample's number to base 4, the highest first, by one of the bin's number.
    """
    n_frames = values.shape[-1]
    for size in (1, 4, 16, 64):  # bins so far
        parts = _divided(values, 4).reshape(2, size, 4, _N_COMPLEX // (4 * size), n_frames)
        first, rest = parts[:, :, 0], parts[:, :, 1:]
        if size > 1:
            rest = _turned(rest, _twiddles(size))
        one, two, three = rest[:, :, 0], rest[:, :, 1], rest[:, :, 2]
        difference, total = first - two, first + two
        sides, across = one + three, one - three
        values = np.empty((2, 4, *total.shape[1:]), np.int16)
        np.add(total, sides, out=values[:, 0])
        np.subtract(total, sides, out=values[:, 2])
        np.add(difference[0], across[1], out=values[0, 1])
        np.subtract(difference[1], across[0], out=values[1, 1])
        np.subtract(difference[0], across[1], out=values[0, 3])
        np.add(difference[1], across[0], out=values[1, 3])
    return values.reshape(2, _N_COMPLEX, n_frames)


def _real_spectrum(values: Int16s) -> Int16s:
    """Return bins `(2, 257, n_frames)` of real samples, whose even and odd ones were the parts of complex values."""
    half = _N_COMPLEX // 2
    halved = _divided(values, 2)
    upper = halved[:, half:][:, ::-1]  # 255 down to 128
    lower = halved[:, 1 : half + 1]
    # C negates before it divides, which rounds otherwise
    mirrored = np.stack([upper[0], _divided(-values[1, half:][::-1], 2)])
    total, difference = lower + mirrored, lower - mirrored
    turned = _turned(difference, _super_twiddles()).astype(np.int32)
    sums = total.astype(np.int32)
    found = np.empty((2, _N_COMPLEX + 1, values.shape[-1]), np.int16)
    found[0, 0] = halved[0, 0] + halved[1, 0]
    found[0, _N_COMPLEX] = halved[0, 0] - halved[1, 0]
    found[1, 0] = found[1, _N_COMPLEX] = 0
    found[:, 1 : half + 1] = (sums + turned) >> 1
    mirror = found[:, half:_N_COMPLEX][:, ::-1]
    mirror[0] = (sums[0] - turned[0]) >> 1
    mirror[1] = (turned[1] - sums[1]) >> 1
    return found


def _divided(values: Int16s, by: int) -> Int16s:
    products = values.astype(np.int32)
    products *= 32767 // by
    return _rounded(products)


def _turned(values: Int16s, turns: Int32s) -> Int16s:
    """Return the complex products of values `(2, ...)` and unit vectors `(2, ...)`."""
    wide = values.astype(np.int32)
    products = np.empty_like(wide)
    np.subtract(wide[0] * turns[0], wide[1] * turns[1], out=products[0])
    np.add(wide[0] * turns[1], wide[1] * turns[0], out=products[1])
    return _rounded(products)


def _rounded(products: Int32s) -> Int16s:
    products += 1 << 14
    products >>= 15
    return products.astype(np.int16)


@lru_cache(maxsize=4)
def _twiddles(size: int) -> Int32s:
    """Return the unit vectors of a stage, `(2, size, 3, 1, 1)`."""
    return _unit_vectors(-np.arange(size)[:, None] * np.arange(1, 4) / (4 * size))[..., None, None]


@lru_cache(maxsize=1)
def _super_twiddles() -> Int32s:
    """Return the unit vectors that part even samples from odd ones, `(2, 128, 1)`."""
    return _unit_vectors(-(np.arange(1, _N_COMPLEX // 2 + 1) / (2 * _N_COMPLEX) + 0.25))[..., None]


def _unit_vectors(turns: NDArray[np.float64]) -> Int32s:
    phase = 2 * np.pi * turns
    return np.floor(0.5 + 32767 * np.stack([np.cos(phase), np.sin(phase)])).astype(np.int32)


def _rounded_root(values: NDArray[np.float64]) -> Int64s:
    """Return the nearest whole root of whole numbers below 2 ** 52; of those below 2 ** 32 at most 65535."""
    roots = np.floor(np.sqrt(values))
    roots += (values - roots * roots > roots) & ~((roots == 0xFFFF) & (values < 1 << 32))
    return roots.astype(np.int64)


def _bit_length(values: NDArray[Any]) -> Int32s:
    """Return the number of bits of whole numbers below 2 ** 53; 0 of 0."""
    return np.frexp(values.astype(np.float64))[1]


def _gained(levels: Int64s, estimates: Int64s) -> Int64s:
    """Return levels after the gain control, which divides them by their noise (PCAN)."""
    gains = _gain(estimates)
    snr = ((levels * gains) >> (_GAIN_BITS - _CORRECTION_BITS - _SNR_BITS)) & _UINT32
    small = (snr * snr) >> (2 + 2 * _SNR_BITS - _OUTPUT_BITS)
    return np.where(snr < 2 << _SNR_BITS, small, (snr >> (_SNR_BITS - _OUTPUT_BITS)) - (1 << _OUTPUT_BITS))


def _gain(estimates: Int64s) -> Int64s:
    """Return the gain at each noise estimate, interpolated by parabolas between powers of two."""
    bits = _bit_length(estimates)
    base, slope, curve = _gain_table()[:, bits]
    fraction = np.where(bits < 11, estimates << np.maximum(11 - bits, 0), estimates >> np.maximum(bits - 11, 0)) & 0x3FF
    result = ((curve * fraction) >> 5) + (slope << 5)
    result = ((result * fraction + (1 << 14)) >> 15) + base
    gains: Int64s = np.where(estimates <= 1, _gain_at(estimates & 1), result)
    return gains


@lru_cache(maxsize=1)
def _gain_table() -> Int64s:
    """Return gain, slope and curvature, `(3, 33)`, of estimates by their number of bits."""
    table = np.zeros((3, 33), np.int64)
    start = 1 << np.arange(1, 32, dtype=np.int64)
    stop = np.minimum(2 * start, _UINT32)
    base, middle, end = (_gain_at(x) for x in (start, start + start // 2, stop))
    slope = 4 * (middle - base) - (end - base)
    table[:, 2:] = base, slope.astype(np.int16), (end - base - slope).astype(np.int16)
    return table


def _gain_at(estimates: Int64s) -> Int64s:
    level = estimates.astype(np.float32) / np.float32(1 << (_ESTIMATE_BITS - _CORRECTION_BITS))
    over: NDArray[np.float64] = (level + np.float32(_GAIN_OFFSET)).astype(np.float64)
    power = np.power(over, -float(np.float32(_GAIN_STRENGTH))).astype(np.float32)
    gain: Samples = np.minimum(np.float32(1 << _GAIN_BITS) * power + np.float32(0.5), np.float32(32767))
    return gain.astype(np.int64)


def _logarithm(levels: Int64s) -> Int64s:
    """Return 64 times the natural logarithm of levels, from 0 to 65535."""
    values = (levels << _CORRECTION_BITS) & _UINT32
    whole = _bit_length(np.maximum(values, 1)) - 1
    over = values - (np.int64(1) << whole)
    over = np.where(whole < 16, over << np.maximum(16 - whole, 0), over >> np.maximum(whole - 16, 0))
    segment = over >> 9
    low, high = _log_table()[segment], _log_table()[segment + 1]
    log2 = (whole.astype(np.int64) << 16) + over + low + (((high - low) * (over - (segment << 9))) >> 16)
    ln = (_LN_2 * log2 + (1 << 15)) >> 16
    scaled = ((ln << _LOG_SHIFT) + (1 << 15)) >> 16
    found: Int64s = np.where(values > 1, np.minimum(scaled, 0xFFFF), 0)
    return found


@lru_cache(maxsize=1)
def _log_table() -> Int64s:
    """Return what the logarithm to base 2 is above the straight line between powers of two, `(129,)`, times 65536."""
    at: NDArray[np.float64] = np.arange(129) / 128
    table: Int64s = np.rint(65536 * (np.log2(1 + at) - at)).astype(np.int64)
    return table
