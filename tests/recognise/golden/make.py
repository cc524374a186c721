"""Makes the golden files: what the reference libraries compute for the same sound.

    python tests/recognise/golden/make.py [librosa] [torchaudio] [tf_signal] [tf_ops] [kaldi] [psf] [edge_impulse]
        [micro_frontend] [wake_words]

Each library's numbers go into `<library>.npz` beside this file: for every case the FeatureConfig that
edgeaudio needs to say the same (as JSON) and the library's result, float32 `(n_frames, n_features)`.
The tests read the files only. Made with librosa 0.11.0, torch 2.13.0 and torchaudio 2.11.0 (its
compiled part is not needed), TensorFlow 2.21.0, kaldi-native-fbank 1.22.5, python_speech_features 0.6, speechpy 2.4,
pymicro-features 2.0.2, pymicro-wakeword 2.5.0.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
SAMPLE_RATE = 16000
N_SAMPLES = 4880  # not a whole number of frames in most conventions
EPSILON = float(np.finfo(np.float32).eps)

Case = tuple[str, dict[str, Any], Any]  # name, FeatureConfig, the library's result


def signal() -> NDArray[np.int16]:
    """A chirp, a burst of noise, a hum with an offset, and digital silence; 16 bits, mono."""
    rng = np.random.default_rng(20)
    time_s = np.arange(N_SAMPLES) / SAMPLE_RATE
    sound = 0.2 * np.sin(2 * np.pi * (200 + 9000 * time_s) * time_s) + 0.02 * rng.standard_normal(N_SAMPLES)
    sound[1200:1800] += 0.2 * rng.standard_normal(600)
    sound += 0.05 * np.sin(2 * np.pi * 50 * time_s) + 0.03
    sound[2600:3500] = 0.0
    return np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16)


def librosa_cases(sound: NDArray[np.int16]) -> Iterator[Case]:
    """librosa.feature.melspectrogram, power_to_db and mfcc."""
    import librosa
    from librosa.effects import preemphasis

    y = (sound / 32768).astype(np.float32)
    grid: list[dict[str, Any]] = [
        {"n_fft": 512, "hop_length": 160, "n_mels": 40},
        {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40, "center": True},
        {"n_fft": 512, "win_length": 401, "hop_length": 200, "n_mels": 32, "mel_scale": "htk"},
        {"n_fft": 1024, "hop_length": 256, "n_mels": 64, "norm": "none", "center": True, "pad_mode": "reflect"},
        {"n_fft": 400, "hop_length": 160, "n_mels": 80, "mel_scale": "htk", "norm": "none"},
        {"n_fft": 401, "hop_length": 133, "n_mels": 20, "center": True},
        {"n_fft": 512, "hop_length": 160, "n_mels": 40, "fmin": 125.0, "fmax": 7500.0, "power": 1},
        {"n_fft": 2048, "hop_length": 512, "n_mels": 128, "center": True, "power": 1, "mel_scale": "htk"},
        {"n_fft": 512, "hop_length": 160, "n_mels": 40, "window": "hamming", "win_length": 320},
        {"n_fft": 512, "hop_length": 256, "n_mels": 40, "window": "blackman", "center": True, "pad_mode": "reflect"},
        {"n_fft": 512, "hop_length": 256, "n_mels": 40, "window": "rectangular"},
    ]
    logs: list[dict[str, Any]] = [
        {},
        {"ref": "max"},
        {"top_db": 80.0},
        {"ref": "max", "top_db": 60.0, "log_floor": 1e-8},
        {"ref": 0.5, "log_floor": 1e-6},
    ]

    def mel(spec: dict[str, Any]) -> Any:
        window = spec.get("window", "hann")
        return librosa.feature.melspectrogram(
            y=y,
            sr=SAMPLE_RATE,
            n_fft=spec["n_fft"],
            win_length=spec.get("win_length"),
            hop_length=spec["hop_length"],
            window="boxcar" if window == "rectangular" else window,
            center=spec.get("center", False),
            pad_mode=spec.get("pad_mode", "constant"),
            power=spec.get("power", 2),
            n_mels=spec["n_mels"],
            fmin=spec.get("fmin", 0.0),
            fmax=spec.get("fmax"),
            htk=spec.get("mel_scale") == "htk",
            norm=None if spec.get("norm") == "none" else "slaney",
        )

    def db(spec: dict[str, Any], values: Any) -> Any:
        convert = librosa.amplitude_to_db if spec.get("power") == 1 else librosa.power_to_db
        ref = np.max if spec.get("ref") == "max" else spec.get("ref", 1.0)
        return convert(values, ref=ref, amin=spec["log_floor"], top_db=spec.get("top_db"))

    for i, base in enumerate(grid):
        log = logs[i % len(logs)]
        spec = {"log_floor": 1e-5 if base.get("power") == 1 else 1e-10, **base, **log}
        if base.get("power") == 1:
            spec["log_floor"] = 1e-5
        yield f"log_mel_{i}", {"kind": "log_mel", **spec}, db(spec, mel(spec)).T
    for i, log in enumerate(logs):
        spec = {"log_floor": 1e-10, **grid[1], **log}
        yield f"power_to_db_{i}", {"kind": "log_mel", **spec}, db(spec, mel(spec)).T
    yield "mel_no_log", {"kind": "log_mel", "log": "none", **grid[1]}, mel(grid[1]).T
    transforms: list[dict[str, Any]] = [
        {"n_mfcc": 13, "dct_type": kind, "dct_norm": norm, "lifter": lifter}
        for kind, norm, lifter in [
            (2, "ortho", 0.0),
            (2, "none", 0.0),
            (2, "ortho", 22.0),
            (1, "none", 0.0),
            (1, "ortho", 0.0),
            (3, "ortho", 0.0),
            (3, "none", 13.0),
        ]
    ]
    for i, transform in enumerate(transforms):
        spec = {**grid[1], "top_db": 80.0, "log_floor": 1e-10}
        result = librosa.feature.mfcc(
            S=db(spec, mel(spec)),
            n_mfcc=13,
            dct_type=transform["dct_type"],
            norm=None if transform["dct_norm"] == "none" else "ortho",
            lifter=transform["lifter"],
        )
        yield f"mfcc_{i}", {"kind": "mfcc", **spec, **transform}, result.T
    # linear bins: power in dB, and what the Web Audio API's analyser gives to Teachable Machine: Blackman window,
    # magnitudes over the FFT's length, in dB, the first 232 bins, each clip standardised by TensorFlow.js
    linear = np.abs(librosa.stft(y, n_fft=512, win_length=400, hop_length=160, center=True)) ** 2
    spec = {"kind": "spectrogram", "n_fft": 512, "win_length": 400, "hop_length": 160, "center": True, "top_db": 80.0}
    yield "spectrogram_db", {**spec, "log_floor": 1e-10}, librosa.power_to_db(linear, top_db=80.0).T
    linear = np.abs(librosa.stft(y, n_fft=2048, hop_length=1024, window="blackman", center=False)) / 2048
    decibels = librosa.amplitude_to_db(linear, amin=1e-5, top_db=None).T[:, :232]
    yield (
        "spectrogram_analyser",
        {
            "kind": "spectrogram", "n_fft": 2048, "win_length": 2048, "hop_length": 1024, "window": "blackman",
            "power": 1, "spectrum_scale": 1 / 2048, "log_floor": 1e-5, "n_bins": 232, "standardize": True,
        },
        (decibels - decibels.mean()) / (decibels.std() + 1e-7),
    )  # fmt: skip
    # all defaults of librosa.feature.mfcc
    spec = {"n_fft": 2048, "hop_length": 512, "n_mels": 128, "center": True, "top_db": 80.0, "n_mfcc": 20}
    yield "mfcc_defaults", {"kind": "mfcc", **spec}, librosa.feature.mfcc(y=y, sr=SAMPLE_RATE).T
    full = {**spec, "n_mfcc": 128}
    yield "mfcc_all", {"kind": "mfcc", **full}, librosa.feature.mfcc(y=y, sr=SAMPLE_RATE, n_mfcc=128).T
    emphasised = preemphasis(y, coef=0.97, zi=[0.0])
    result = librosa.power_to_db(
        librosa.feature.melspectrogram(
            y=emphasised, sr=SAMPLE_RATE, n_fft=512, hop_length=160, n_mels=40, center=False
        ),
        top_db=None,
    )
    yield "preemphasis", {"kind": "log_mel", **grid[0], "preemphasis": 0.97}, result.T


def torchaudio_cases(sound: NDArray[np.int16]) -> Iterator[Case]:
    """torchaudio.transforms.MelSpectrogram, AmplitudeToDB, MFCC, and torchaudio.compliance.kaldi."""
    import torch
    from torchaudio import transforms
    from torchaudio.compliance import kaldi

    wave = torch.from_numpy((sound / 32768).astype(np.float32))
    mel: dict[str, Any] = {"n_fft": 400, "hop_length": 200, "n_mels": 64}
    spec: dict[str, Any] = {**mel, "center": True, "pad_mode": "reflect", "mel_scale": "htk", "norm": "none"}
    power = transforms.MelSpectrogram(SAMPLE_RATE, **mel)(wave)
    yield "mel_db", {"kind": "log_mel", **spec, "top_db": 80.0}, transforms.AmplitudeToDB("power", 80.0)(power).T
    yield (
        "mel_log_offset",
        {"kind": "log_mel", **spec, "log": "ln", "log_floor": 0.0, "log_offset": 1e-6},
        torch.log(power + 1e-6).T,
    )
    magnitude = transforms.MelSpectrogram(
        SAMPLE_RATE, 512, 400, 160, n_mels=40, power=1.0, norm="slaney", mel_scale="slaney"
    )
    yield (
        "mel_magnitude_slaney",
        {
            "kind": "log_mel", "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40, "center": True,
            "pad_mode": "reflect", "power": 1, "log_floor": 1e-10,
        },
        transforms.AmplitudeToDB("magnitude")(magnitude(wave)).T,
    )  # fmt: skip
    normalised = transforms.MelSpectrogram(SAMPLE_RATE, **mel, normalized=True, f_min=60.0, f_max=7800.0)(wave)
    scale = 1 / float(torch.hann_window(400).pow(2).sum())
    yield (
        "mel_normalized",
        {"kind": "log_mel", **spec, "spectrum_scale": scale, "fmin": 60.0, "fmax": 7800.0},
        transforms.AmplitudeToDB("power")(normalised).T,
    )
    mfcc = {"kind": "mfcc", **spec, "n_mels": 128, "n_mfcc": 40}
    melkwargs = {"n_fft": 400, "hop_length": 200, "n_mels": 128}
    yield "mfcc", {**mfcc, "top_db": 80.0}, transforms.MFCC(SAMPLE_RATE, 40, melkwargs=melkwargs)(wave).T
    yield (
        "mfcc_log_mels_no_norm",
        {**mfcc, "dct_norm": "none", "log": "ln", "log_floor": 0.0, "log_offset": 1e-6},
        transforms.MFCC(SAMPLE_RATE, 40, norm=None, log_mels=True, melkwargs=melkwargs)(wave).T,
    )
    # compliance.kaldi: the Audio Spectrogram Transformer's front end, then plain defaults on 16-bit values
    ast = kaldi.fbank(
        wave[None], htk_compat=True, sample_frequency=SAMPLE_RATE, use_energy=False, window_type="hanning",
        num_mel_bins=128, dither=0.0, frame_shift=10,
    )  # fmt: skip
    base = {**KALDI, "sample_scale": 1.0}
    yield "kaldi_fbank_hanning", {**base, "kind": "log_mel", "n_mels": 128, "window": "hann"}, ast
    wide = wave[None] * 32768
    yield "kaldi_fbank", {**KALDI, "kind": "log_mel"}, kaldi.fbank(wide, sample_frequency=SAMPLE_RATE)
    yield (
        "kaldi_mfcc",
        {**KALDI, "kind": "mfcc", "n_mfcc": 13, "lifter": 22.0, "lifter_from": 0},
        kaldi.mfcc(wide, sample_frequency=SAMPLE_RATE),
    )


# Kaldi's defaults for 16 kHz
KALDI: dict[str, Any] = {
    "n_fft": 512, "win_length": 400, "win_align": "start", "hop_length": 160, "n_mels": 23, "sample_scale": 32768.0,
    "window": "povey", "periodic": False, "remove_dc": True, "preemphasis": 0.97, "preemphasis_over": "frame",
    "fmin": 20.0, "mel_scale": "htk", "norm": "none", "mel_slopes": "mel", "log": "ln", "log_floor": EPSILON,
}  # fmt: skip


def kaldi_cases(sound: NDArray[np.int16]) -> Iterator[Case]:
    """Kaldi's own code (kaldi-native-fbank): fbank and MFCC, snip-edges, without dither."""
    import kaldi_native_fbank as knf

    def run(computer: Any) -> NDArray[np.float32]:
        computer.accept_waveform(SAMPLE_RATE, sound.astype(np.float32).tolist())
        computer.input_finished()
        return np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)])

    def options(kind: Any) -> Any:
        chosen = kind()
        chosen.frame_opts.dither = 0.0
        chosen.frame_opts.snip_edges = True
        chosen.mel_opts.num_bins = 23
        return chosen

    fbank = options(knf.FbankOptions)
    yield "fbank", {**KALDI, "kind": "log_mel"}, run(knf.OnlineFbank(fbank))
    fbank = options(knf.FbankOptions)
    fbank.mel_opts.num_bins = 80
    fbank.mel_opts.high_freq = -400.0
    fbank.frame_opts.window_type = "hamming"
    fbank.frame_opts.preemph_coeff = 0.0
    fbank.use_power = False
    spec = {"n_mels": 80, "fmax": 7600.0, "window": "hamming", "preemphasis": 0.0, "power": 1}
    yield "fbank_magnitude", {**KALDI, "kind": "log_mel", **spec}, run(knf.OnlineFbank(fbank))
    mfcc = {**KALDI, "kind": "mfcc", "n_mfcc": 13, "lifter": 22.0, "lifter_from": 0}
    yield "mfcc", {**mfcc, "c0": "sample_energy"}, run(knf.OnlineMfcc(options(knf.MfccOptions)))
    plain = options(knf.MfccOptions)
    plain.use_energy = False
    yield "mfcc_no_energy", mfcc, run(knf.OnlineMfcc(plain))


def psf_cases(sound: NDArray[np.int16]) -> Iterator[Case]:
    """python_speech_features: its last frame is filled up with zeros."""
    import python_speech_features as psf

    step, length = 160, 400
    n_frames = 1 + -(-(N_SAMPLES - length) // step)
    base: dict[str, Any] = {
        "n_fft": 512, "win_length": length, "win_align": "start", "hop_length": step, "n_mels": 26,
        "pad_end": (n_frames - 1) * step + length - N_SAMPLES, "sample_scale": 32768.0, "window": "rectangular",
        "preemphasis": 0.97, "spectrum_scale": 1 / 512, "mel_scale": "htk", "norm": "none", "mel_slopes": "bin",
        "log": "ln", "log_floor": float(np.finfo(float).eps),
    }  # fmt: skip
    yield "logfbank", {**base, "kind": "log_mel"}, psf.logfbank(sound, SAMPLE_RATE, nfft=512)
    mfcc = {**base, "kind": "mfcc", "n_mfcc": 13, "lifter": 22.0, "lifter_from": 0}
    yield "mfcc", {**mfcc, "c0": "spectrum_energy"}, psf.mfcc(sound, SAMPLE_RATE, nfft=512)
    hamming = psf.mfcc(
        sound, SAMPLE_RATE, nfft=512, appendEnergy=False, winfunc=np.hamming, nfilt=40, lowfreq=300, highfreq=7000,
        ceplifter=0, preemph=0,
    )  # fmt: skip
    spec = {"window": "hamming", "periodic": False, "n_mels": 40, "fmin": 300.0, "fmax": 7000.0}
    yield "mfcc_hamming", {**mfcc, **spec, "preemphasis": 0.0, "lifter": 0.0}, hamming


def edge_impulse_cases(sound: NDArray[np.int16]) -> Iterator[Case]:
    """Edge Impulse's MFE and MFCC blocks, version 4, of what they are made of.

    Their filters, power spectra and energies are python_speech_features' (which fills up one more frame), their
    normalisation over a window is speechpy's. Left out: that the blocks take the clip's last sample for the one before
    its first, and round MFE to 1/256.
    """
    import python_speech_features as psf
    import scipy.fft
    import speechpy

    vars(np.lib)["pad"] = np.pad  # its place in NumPy 1, where speechpy looks for it
    length = n_fft = 256
    step = 160
    base: dict[str, Any] = {
        "n_fft": n_fft, "win_length": length, "win_align": "start", "hop_length": step, "window": "rectangular",
        "preemphasis": 0.98, "spectrum_scale": 1 / n_fft, "mel_scale": "htk", "norm": "none", "mel_slopes": "bin",
    }  # fmt: skip
    sizes = {"winlen": length / SAMPLE_RATE, "winstep": step / SAMPLE_RATE, "nfft": n_fft, "preemph": 0.98}
    mels = psf.fbank(sound / 32768, SAMPLE_RATE, nfilt=32, **sizes)[0][:-1]
    floor_db = -52.0
    levels = (10 * np.log10(np.maximum(mels, 1e-30)) - floor_db) / (12 - floor_db)
    yield (
        "mfe",
        {
            **base, "kind": "log_mel", "n_mels": 32, "log_floor": 1e-30, "mean": [floor_db], "std": [12 - floor_db],
            "clip_min": 0.0, "clip_max": 255 / 256,
        },
        np.clip(levels, 0, 255 / 256),
    )  # fmt: skip
    # what is 0 is 1e-10 there
    mels, energies = (np.maximum(each[:-1], 1e-10) for each in psf.fbank(sound, SAMPLE_RATE, nfilt=32, **sizes))
    mfcc = scipy.fft.dct(np.log(mels), type=2, axis=1, norm="ortho")[:, :13]
    mfcc[:, 0] = np.log(energies)
    yield (
        "mfcc",
        {
            **base, "kind": "mfcc", "n_mels": 32, "n_mfcc": 13, "sample_scale": 32768.0, "log": "ln",
            "log_floor": 1e-10, "c0": "spectrum_energy", "cmvn_window": 101,
        },
        speechpy.processing.cmvnw(mfcc, win_size=101, variance_normalization=True),
    )  # fmt: skip


def tf_signal_cases(sound: NDArray[np.int16]) -> Iterator[Case]:
    """tf.signal: stft, linear_to_mel_weight_matrix, mfccs_from_log_mel_spectrograms."""
    import tensorflow as tf

    wave = tf.constant((sound / 32768).astype(np.float32))

    def mel(length: int, step: int, n_mels: int, low: float, high: float, power: int, *, pad_end: bool = False) -> Any:
        spectrum = tf.abs(tf.signal.stft(wave, length, step, fft_length=512, pad_end=pad_end)) ** power
        weights = tf.signal.linear_to_mel_weight_matrix(n_mels, 257, SAMPLE_RATE, low, high)
        return tf.matmul(spectrum, weights)

    base: dict[str, Any] = {
        "n_fft": 512, "win_align": "start", "power": 1, "mel_scale": "htk", "norm": "none", "mel_slopes": "mel",
        "log": "ln", "log_floor": 0.0,
    }  # fmt: skip
    # YAMNet
    spec = {**base, "win_length": 400, "hop_length": 160, "n_mels": 64, "fmin": 125.0, "fmax": 7500.0}
    yield (
        "log_mel_yamnet",
        {"kind": "log_mel", **spec, "log_offset": 1e-3},
        tf.math.log(mel(400, 160, 64, 125.0, 7500.0, 1) + 1e-3),
    )
    # the keyword models of MLPerf Tiny and of TensorFlow's tutorial
    spec = {**base, "win_length": 480, "hop_length": 320, "n_mels": 40, "fmin": 20.0, "fmax": 4000.0}
    logs = tf.math.log(mel(480, 320, 40, 20.0, 4000.0, 1) + 1e-6)
    yield (
        "mfcc_keywords",
        {"kind": "mfcc", **spec, "log_offset": 1e-6, "n_mfcc": 10, "dct_norm": "htk"},
        tf.signal.mfccs_from_log_mel_spectrograms(logs)[..., :10],
    )
    # TensorFlow's tutorial on audio; hann_window of an odd length is never periodic
    tutorial = {"n_fft": 256, "win_length": 255, "hop_length": 128, "win_align": "start", "power": 1, "log": "none"}
    yield (
        "spectrogram_tutorial",
        {"kind": "spectrogram", **tutorial, "periodic": False},
        tf.abs(tf.signal.stft(wave, frame_length=255, frame_step=128)),
    )
    power = mel(480, 320, 40, 0.0, 8000.0, 2, pad_end=True)
    n_frames = -(-N_SAMPLES // 320)
    yield (
        "log_mel_power_pad_end",
        {
            "kind": "log_mel", **spec, "power": 2, "fmin": 0.0, "fmax": 8000.0, "log": "log10", "log_floor": 1e-6,
            "pad_end": (n_frames - 1) * 320 + 480 - N_SAMPLES,
        },
        tf.math.log(tf.maximum(power, 1e-6)) / tf.math.log(10.0),
    )  # fmt: skip


def tf_ops_cases(sound: NDArray[np.int16]) -> Iterator[Case]:
    """TensorFlow's AudioSpectrogram and Mfcc operators: speech_commands, Arm's keyword spotting."""
    import tensorflow as tf

    wave = tf.constant((sound / 32768).astype(np.float32))[:, None]
    spectrum = tf.raw_ops.AudioSpectrogram(input=wave, window_size=640, stride=320, magnitude_squared=True)
    # The operator rounds the lower limit to a bin as HTK does, which can leave one bin out; at 20 Hz it does not.
    result = tf.raw_ops.Mfcc(
        spectrogram=spectrum, sample_rate=SAMPLE_RATE, lower_frequency_limit=20, upper_frequency_limit=4000,
        filterbank_channel_count=40, dct_coefficient_count=10,
    )[0]  # fmt: skip
    yield (
        "mfcc",
        {
            "kind": "mfcc", "n_fft": 1024, "win_length": 640, "win_align": "start", "hop_length": 320, "power": 1,
            "n_mels": 40, "fmin": 20.0, "fmax": 4000.0, "mel_scale": "htk", "norm": "none", "mel_slopes": "mel",
            "log": "ln", "log_floor": 1e-12, "n_mfcc": 10, "dct_norm": "htk",
        },
        result,
    )  # fmt: skip


LIBRARIES: dict[str, Callable[[NDArray[np.int16]], Iterator[Case]]] = {
    "librosa": librosa_cases,
    "torchaudio": torchaudio_cases,
    "tf_signal": tf_signal_cases,
    "tf_ops": tf_ops_cases,
    "kaldi": kaldi_cases,
    "psf": psf_cases,
    "edge_impulse": edge_impulse_cases,
}


def micro_frontend() -> None:
    """Write what pymicro-features computes of speech, noise and the widest swings, all whole numbers.

    Some of its filter weights depend on the C library's log1pf. If the assertion below says that it is badly rounded
    (in glibc 2.36 it is), preload a library with `float log1pf(float x) { return (float)log1p(x); }`.
    """
    import ctypes

    from pymicro_features import MicroFrontend

    log1pf = ctypes.CDLL(None).log1pf
    log1pf.restype, log1pf.argtypes = ctypes.c_float, [ctypes.c_float]
    bins = (np.arange(257, dtype=np.float32) * np.float32(31.25)) / np.float32(700)
    assert all(log1pf(float(x)) == float(np.float32(np.log1p(float(x)))) for x in bins), "log1pf is badly rounded"
    rng = np.random.default_rng(3)
    with np.load(HERE / "silero_v6.npz") as file:
        speech = file["samples"][: 4 * SAMPLE_RATE]
    sounds = {
        "signal": signal(),
        "speech": speech,
        "swings": rng.choice(np.array([-32768, 32767], np.int16), 8000),
        "offset": np.full(4000, -32768, np.int16),
        "faint": np.rint(rng.normal(0, 1.5, 8000)).astype(np.int16),
        "levels": (rng.normal(0, 1, 16000) * np.exp(rng.normal(5, 2.5, 100)).repeat(160))
        .clip(-32768, 32767)
        .astype(np.int16),
    }
    saved: dict[str, NDArray[Any]] = {}
    for name, samples in sounds.items():
        frontend, found = MicroFrontend(), []
        for start in range(0, len(samples) - 159, 160):
            output = frontend.process_samples(samples[start : start + 160].tobytes())
            found += [output.features] if output.features else []
        saved |= {f"{name}.samples": samples, f"{name}.result": np.rint(np.array(found) / 0.0390625).astype(np.uint16)}
    np.savez_compressed(HERE / "micro_frontend.npz", allow_pickle=False, **saved)


def wake_words() -> None:
    """Write what pymicro-wakeword makes of its four words, spoken by flite one after the other: a probability a step.

    It is given the micro front end's features as edgeaudio computes them, whose own golden file is micro_frontend.npz.
    """
    import subprocess
    import wave
    from tempfile import TemporaryDirectory

    from pymicro_wakeword import MicroWakeWord, Model

    from edgeaudio.recognise.feature_config import FeatureConfig
    from edgeaudio.recognise.micro_frontend import MicroFrontend

    config = FeatureConfig(
        "micro_frontend", SAMPLE_RATE, n_fft=512, win_length=480, win_align="start", hop_length=160, n_mels=40,
        fmin=125.0, fmax=7500.0,
    )  # fmt: skip
    rng, pieces = np.random.default_rng(1), [np.zeros(8000, np.int16)]
    for model in Model:
        with TemporaryDirectory() as folder:
            file = f"{folder}/word.wav"
            subprocess.run(["flite", "-voice", "rms", "-t", model.value.replace("_", " "), "-o", file], check=True)
            with wave.open(file) as spoken:
                pieces += [np.frombuffer(spoken.readframes(spoken.getnframes()), np.int16), np.zeros(12_000, np.int16)]
    sound = np.concatenate(pieces)
    sound = (sound + rng.normal(0, 20, len(sound))).clip(-32768, 32767).astype(np.int16)
    rows = MicroFrontend(config).rows((sound / 32768).astype(np.float32))
    saved = {"rows": rows.astype(np.uint16)}
    for model in Model:
        word, found = MicroWakeWord.from_builtin(model), []
        for number, row in enumerate(rows):
            word.process_streaming_prob(np.float64(row[None, None]) * 0.0390625)
            found += [word._probabilities[-1]] if number % 3 == 2 else []
        saved[model.value] = np.array(found, np.float32)
        print(f"{model.value}: {len(found)} steps, {np.sum(saved[model.value] > 0.5)} above 0.5")
    np.savez_compressed(HERE / "wake_words.npz", allow_pickle=False, **saved)


def main(names: list[str]) -> None:
    """Write the golden files of those libraries, of all without a name."""
    sound = signal()
    np.savez_compressed(HERE / "signal.npz", samples=sound, sample_rate=SAMPLE_RATE)
    if not names or "micro_frontend" in names:
        micro_frontend()
    if not names or "wake_words" in names:
        wake_words()
    for name in (name for name in names or LIBRARIES if name in LIBRARIES):
        arrays: dict[str, NDArray[Any]] = {}
        for case, config, result in LIBRARIES[name](sound):
            arrays[f"{case}.config"] = np.array(json.dumps({"sample_rate": SAMPLE_RATE, **config}))
            arrays[f"{case}.result"] = np.asarray(result, dtype=np.float32)
        path = HERE / f"{name}.npz"
        np.savez_compressed(path, allow_pickle=False, **arrays)
        print(f"{path.name}: {len(arrays) // 2} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
