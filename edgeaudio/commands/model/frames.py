"""Feature conventions with a name, and the sizes of windows, hops and FFTs that fit a tensor.

Owns: the presets, and the guesses of sizes. Does not know: waveforms, labels, outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, cast

from edgeaudio.commands.model.init_options import Work
from edgeaudio.commands.model.shape import OPEN, given_axes
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.manifest import FILE_NAME
from edgeaudio.recognise.manifest_file import parse_manifest
from edgeaudio.recognise.tflite_file import Tensor

EPSILON = 1.1920928955078125e-07  # of float32

# the defaults of each library; the tests compare each with the library itself
PRESETS: dict[str, dict[str, Any]] = {
    "librosa": {"center": True, "top_db": 80.0},
    "torchaudio": {"center": True, "pad_mode": "reflect", "mel_scale": "htk", "norm": "none", "top_db": 80.0},
    "tf-signal": {
        "win_align": "start", "power": 1, "mel_scale": "htk", "norm": "none", "mel_slopes": "mel", "log": "ln",
        "log_floor": 0.0, "log_offset": 1e-6, "dct_norm": "htk",
    },
    "yamnet": {
        "win_align": "start", "power": 1, "mel_scale": "htk", "norm": "none", "mel_slopes": "mel", "log": "ln",
        "log_floor": 0.0, "log_offset": 1e-3, "fmin": 125.0, "fmax": 7500.0,
    },
    "kaldi": {
        "win_align": "start", "sample_scale": 32768.0, "window": "povey", "periodic": False, "remove_dc": True,
        "preemphasis": 0.97, "preemphasis_over": "frame", "fmin": 20.0, "mel_scale": "htk", "norm": "none",
        "mel_slopes": "mel", "log": "ln", "log_floor": EPSILON, "lifter": 22.0, "lifter_from": 0,
    },
    "psf": {
        "win_align": "start", "sample_scale": 32768.0, "window": "rectangular", "preemphasis": 0.97, "mel_scale": "htk",
        "norm": "none", "mel_slopes": "bin", "log": "ln", "log_floor": 2.220446049250313e-16, "lifter": 22.0,
        "lifter_from": 0, "c0": "spectrum_energy",
    },
    "tf-tutorial": {"win_align": "start", "power": 1, "log": "none"},
    "teachable-machine": {
        "n_fft": 2048, "win_length": 2048, "hop_length": 1024, "window": "blackman", "power": 1,
        "spectrum_scale": 1 / 2048, "log_floor": 1e-5, "n_bins": 232, "standardize": True,
    },
    "edge-impulse-mfe": {
        "n_fft": 256, "win_align": "start", "window": "rectangular", "preemphasis": 0.98, "mel_scale": "htk",
        "norm": "none", "mel_slopes": "bin", "log_floor": 1e-30, "mean": [-52.0], "std": [64.0], "clip_min": 0.0,
        "clip_max": 255 / 256,
    },
    "edge-impulse-mfcc": {
        "n_fft": 256, "win_align": "start", "sample_scale": 32768.0, "window": "rectangular", "preemphasis": 0.98,
        "mel_scale": "htk", "norm": "none", "mel_slopes": "bin", "log": "ln", "log_floor": 1e-10,
        "c0": "spectrum_energy", "cmvn_window": 101,
    },
    "microwakeword": {"win_align": "start", "fmin": 125.0, "fmax": 7500.0},
}  # fmt: skip
# presets that are about features of one kind
KINDS = {
    "tf-tutorial": "spectrogram",
    "teachable-machine": "spectrogram",
    "edge-impulse-mfe": "log_mel",
    "edge-impulse-mfcc": "mfcc",
    "microwakeword": "micro_frontend",
}
# of Edge Impulse's blocks, as the studio proposes them: mel bands, and coefficients
EDGE_IMPULSE_MELS = {"edge-impulse-mfe": 40, "edge-impulse-mfcc": 32}
EDGE_IMPULSE_FEATURES = {"edge-impulse-mfe": 40, "edge-impulse-mfcc": 13}
TEACHABLE_SHAPE = (43, 232)  # frames and bins
# keys of presets that a spectrogram does not have
OF_MELS = ("mel_scale", "norm", "mel_slopes", "fmin", "fmax", "dct_norm", "lifter", "lifter_from", "c0", "n_mfcc")
COUNTS = {
    "mfcc": "n_mfcc",
    "log_mel": "n_mels",
    "micro_frontend": "n_mels",
    "spectrogram": "n_bins",
}  # key of the number of features
USUAL_MELS = 40
SPECTRUM_SIZES = {(1 << power) + 1 for power in range(6, 13)}  # bins of an FFT of 128 to 8192: 65, 129, 257, ...
MOST_COEFFICIENTS = 20  # up to this many features in a frame are taken for MFCC, more for mels
# window and hop in ms, most usual first
USUAL_FRAMES_MS = ((25, 10), (30, 20), (40, 20), (30, 10), (32, 16), (20, 10), (32, 8), (64, 32), (128, 32), (20, 20))


def guess_features(work: Work, tensor: Tensor) -> None:
    """Fill in `[features]`, `clip.n_samples` and `input.axes`. Raises EdgeaudioError if no usual size fits."""
    kind = work.section("input")["kind"]
    stated = _convention(work, kind, tensor)
    count = COUNTS.get(kind, "n_mels")
    long = [n for n in tensor.shape if n != 1]
    if work.options.preset in EDGE_IMPULSE_FEATURES and len(long) == 1 and count not in stated:
        usual = EDGE_IMPULSE_FEATURES[work.options.preset]
        if long[0] % usual == 0:
            work.guess("features", count, usual, f"{long[0] // usual} frames of {usual}, as Edge Impulse proposes")
    n_frames, n_features = frames_and_features(work, tensor, stated.get(count))
    if stated.get(count, n_features) != n_features:
        raise EdgeaudioError(
            f"{work.file}: its input is {list(tensor.shape)}, of which no length is features.{count} = {stated[count]}"
        )
    stated[count] = n_features
    if count == "n_mfcc":
        n_mels = EDGE_IMPULSE_MELS.get(work.options.preset, USUAL_MELS)
        work.guess("features", "n_mels", max(n_mels, n_features), "the tensor does not tell")
    if count == "n_bins" and "n_fft" not in stated:
        n_fft = 1 << (2 * n_features - 3).bit_length()
        if n_fft // 2 + 1 == n_features:
            stated["n_fft"] = n_fft
        else:
            work.guess("features", "n_fft", n_fft, f"{n_features} bins are not all of any usual FFT's")
    _frame_sizes(work, n_frames)


def _convention(work: Work, kind: str, tensor: Tensor) -> dict[str, Any]:
    """Fill in `[features]` with the preset of the options, else with the usual one; returns it."""
    stated, preset = work.section("features"), work.options.preset
    if KINDS.get(preset, kind) != kind:
        raise EdgeaudioError(f"--preset {preset}: is about features of kind {KINDS[preset]}, and this is {kind}")
    if not preset and not stated:
        preset = "librosa"
        guess = 'as librosa computes them; else say --preset, as in "--preset tf-signal"'
        if is_teachable(tensor):
            preset, guess = (
                "teachable-machine",
                "as Teachable Machine's page computes them; else say --preset tf-tutorial",
            )
        elif kind == "spectrogram":
            preset = "tf-tutorial"
            guess = (
                "magnitudes without a logarithm; else say --preset librosa (dB of power), or features.power and .log"
            )
        work.guesses.append(f"features: {guess}")
    chosen = PRESETS.get(preset, {})
    if kind == "spectrogram":
        chosen = {key: value for key, value in chosen.items() if key not in OF_MELS}
    work.table["features"] = stated = {**chosen, **stated}
    return stated


def is_teachable(tensor: Tensor) -> bool:
    """True if the input is a spectrogram in the shape of Teachable Machine's."""
    return tuple(n for n in tensor.shape if n != 1) == TEACHABLE_SHAPE


def frames_and_features(work: Work, tensor: Tensor, stated: int | None) -> tuple[int, int]:
    """Return the number of frames, OPEN for any, and of features in a frame; fills in the axes."""
    shape, axes = tensor.shape, work.section("input")
    long = [i for i, n in enumerate(shape) if n != 1]
    if len(long) == 1 and stated and shape[long[0]] % stated == 0:  # all in one row
        axes.setdefault("axes", ["batch", "time", "feature"])
        return prod(shape) // stated, stated
    if len(long) != 2:
        raise EdgeaudioError(
            f"{work.file}: its input is {list(shape)}, which is no picture of frames and features; say how many "
            "features a frame has with --set features.n_mels=N (or n_mfcc, n_bins)"
        )
    first, second = long
    if names := given_axes(work, tensor):
        sizes = [prod(n for n, name in zip(shape, names, strict=True) if name == axis) for axis in ("time", "feature")]
        return sizes[0], sizes[1]
    if "axes" in axes:
        raise EdgeaudioError(
            f"{work.file}: its input is {list(shape)}, and input.axes names {len(axes['axes'])} axes; name one for each"
        )
    turned = (
        stated == shape[first] != shape[second]
        if stated
        else _features_first(axes["kind"], shape[first], shape[second])
    )
    time = second if turned or shape[second] == OPEN else first
    names = ["channel"] * len(shape)
    names[time], names[second if time == first else first] = "time", "feature"
    if names[0] == "channel":
        names[0] = "batch"
    n_frames, n_features = shape[time], shape[first + second - time]
    if stated is None:
        frames, otherwise = "any number of", ""
        if n_frames != OPEN:
            key = "n_bins" if work.section("input")["kind"] == "spectrogram" else "n_mels"
            other = "" if key == "n_bins" else " (or n_mfcc)"
            frames, otherwise = (
                str(n_frames),
                f"; if it is the other way round, say --set features.{key}={n_frames}{other}",
            )
        work.guesses.append(f"input.axes = {names}: {frames} frames of {n_features}{otherwise}")
    axes["axes"] = names
    return n_frames, n_features


def _features_first(kind: str, first: int, second: int) -> bool:
    """True if the first of two lengths is a usual number of features of that kind, and the second is not."""
    usual = {"spectrogram": SPECTRUM_SIZES, "mfcc": range(2, MOST_COEFFICIENTS + 1)}.get(kind, ())
    return first in usual and second not in usual


def _frame_sizes(work: Work, n_frames: int) -> None:
    """Fill in window, hop and FFT, and the length of the clip that makes that many frames."""
    stated, clip = work.section("features"), work.section("clip")
    rate = clip["sample_rate"]
    n_samples = clip.get("n_samples") or round(work.options.clip_s * rate)
    usual = [(rate * window_ms // 1000, rate * hop_ms // 1000) for window_ms, hop_ms in USUAL_FRAMES_MS]
    if work.section("input")["kind"] == "spectrogram":
        n_fft = stated["n_fft"]
        # TensorFlow's tutorial, then windows as long as the FFT; what is longer does not fit into it
        usual = [(n_fft - 1, n_fft // 2), (n_fft, n_fft // 2), (n_fft, n_fft // 4), *usual]
        usual = [(window, hop) for window, hop in usual if window <= n_fft]
    if work.options.preset in EDGE_IMPULSE_FEATURES:
        # its blocks take 20 ms, each 10 or 20 ms, and no more of them than the FFT is long
        usual = [(min(rate * 20 // 1000, stated["n_fft"]), rate * hop_ms // 1000) for hop_ms in (10, 20)]
    choices = [_sizes(work, window, hop) for window, hop in usual]
    if work.options.preset == "psf":
        choices = [_as_psf(sizes, n_samples or rate) for sizes in choices]
    configs = [_config(work, choice) for choice in choices]
    # a second is the most usual length
    fitting = [i for i, config in enumerate(configs) if n_frames in (OPEN, config.n_frames(n_samples or rate))]
    if n_samples and not fitting:
        raise EdgeaudioError(
            f"{work.file}: no usual window makes {n_frames} frames of {n_samples / rate:g} s; say which with --set "
            "features.n_fft=N --set features.win_length=N --set features.hop_length=N"
        )
    chosen = fitting[0] if fitting else 0
    added = {key: value for key, value in choices[chosen].items() if key not in stated}
    stated |= added
    if added:
        sizes = ", ".join(f"{key} = {_shown(value)}" for key, value in added.items())
        frames = "" if n_frames == OPEN else f" that make {n_frames} frames"
        work.guesses.append(f"features: {sizes}: usual sizes{frames}; else say --set features.n_fft=N and so on")
    if not n_samples:
        n_samples = rate if fitting else _shortest(configs[0], n_frames)
        work.guess("clip", "n_samples", n_samples, f"{n_samples / rate:g} s; else say --clip-s")
    clip["n_samples"] = n_samples


def _shortest(config: FeatureConfig, n_frames: int) -> int:
    """Return the samples that make so many frames: whole tenths of a second if that fits, else as few as possible."""
    least = (n_frames - 1) * config.hop_length + config.frame_length - 2 * config.padding - config.pad_end
    tenth = config.sample_rate // 10
    rounded = -(-least // tenth) * tenth
    return rounded if config.n_frames(rounded) == n_frames else least


def _sizes(work: Work, window: int, hop: int) -> dict[str, Any]:
    stated = work.section("features")
    if work.section("input")["kind"] != "spectrogram" and work.options.preset not in EDGE_IMPULSE_FEATURES:
        window = stated.get("n_fft") or window
    window = stated.get("win_length") or window
    sizes = {
        "n_fft": stated.get("n_fft") or 1 << (window - 1).bit_length(),
        "win_length": window,
        "hop_length": stated.get("hop_length") or hop,
    }
    # tf.signal.hann_window of an odd length is symmetric, whatever it is asked for
    if work.options.preset in EDGE_IMPULSE_FEATURES:
        sizes["spectrum_scale"] = 1 / sizes["n_fft"]
    of_tensorflow = stated.get("win_align") == "start" and stated.get("window", "hann") == "hann"
    return {**sizes, "periodic": False} if of_tensorflow and window % 2 else sizes


def _as_psf(sizes: Mapping[str, Any], n_samples: int) -> dict[str, Any]:
    """Return the sizes as python_speech_features uses them: the last frame padded, the power spectrum over n_fft."""
    over = max(0, n_samples - sizes["win_length"]) % sizes["hop_length"]
    return {**sizes, "spectrum_scale": 1 / sizes["n_fft"], "pad_end": sizes["hop_length"] - over if over else 0}


def _config(work: Work, sizes: Mapping[str, Any]) -> FeatureConfig:
    """Return the features of those sizes. Raises ManifestError."""
    table = {
        **work.table,
        "labels": ["?"],
        "features": {**work.section("features"), **sizes},
        "clip": {
            "sample_rate": work.section("clip")["sample_rate"],
            "n_samples": 60 * work.section("clip")["sample_rate"],
        },
        "output": {},
        "groups": {},
        "thresholds": {},
    }
    manifest = parse_manifest(table, work.file.parent / FILE_NAME)
    return cast("FeatureConfig", manifest.features)  # a manifest of this kind has features


def _shown(value: bool | float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:.6g}"
