"""Streaming MFCC and log-mel: microseconds of CPU for each new frame of a signal that is heard in overlapping clips.

Owns: how each peer is used, as its documentation says. Does not know: models.

Frames of 25 ms every 10 ms at 16 kHz, in clips of 1 s. The peers that have a stream, or whose functions can be called
on new sound alone, compute each frame once, as edgeaudio does, and put together no clips. librosa is called on each
clip, because its frames of a clip depend on all of it. The floor is the FFT of the same frames, in the same portions.
The bare arithmetic is that, and what else the features need, called by nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edgeaudio.recognise.clips import ClipConfig, ClipCutter
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.filters import tables
from edgeaudio.types import Samples
from tools.benchmarks.cores import pinned
from tools.benchmarks.figures import FLOOR, Figure, Target
from tools.benchmarks.peers import installed
from tools.benchmarks.timing import ROUNDS, cpu_s

RATE = 16_000
WIN, HOP, N_FFT, N_MFCC = 400, 160, 512, 13
CLIP = RATE
PERIODS_S = (0.25, 0.5)
BLOCK = 1600  # samples that come at once
UNGATED_DBFS = -200.0
ARITHMETIC = "bare arithmetic in NumPy"

Work = tuple[Callable[[], object], int]  # what is timed, and its new frames


def measure(*, short: bool) -> Iterator[Figure]:
    """Measure both kinds, with few and many mels, at both periods."""
    signal = noise(4.0 if short else 20.0)
    with pinned():
        for kind in ("mfcc", "log_mel"):
            for n_mels in (40, 64):
                for period_s in PERIODS_S:
                    config = FeatureConfig(
                        kind, RATE, n_fft=N_FFT, hop_length=HOP, n_mels=n_mels, win_length=WIN, n_mfcc=N_MFCC
                    )
                    works: dict[str, Work] = {
                        "edgeaudio": (partial(clips, signal, config, period_s), config.n_frames(len(signal))),
                        FLOOR: (partial(ffts, signal, period_s), config.n_frames(len(signal))),
                        ARITHMETIC: (partial(arithmetic, signal, config, period_s), config.n_frames(len(signal))),
                        **_peers(signal, config, period_s),
                    }
                    yield _figure(config, period_s, works, rounds=2 if short else ROUNDS)


def _figure(config: FeatureConfig, period_s: float, works: dict[str, Work], *, rounds: int) -> Figure:
    seconds = cpu_s({name: work for name, (work, _) in works.items()}, rounds=rounds)
    found = {name: 1e6 * seconds[name] / frames for name, (_, frames) in works.items()}
    kind = "MFCC" if config.kind == "mfcc" else "Log-mel"
    ours = found.pop("edgeaudio")
    note = f"bare arithmetic is {found[ARITHMETIC] / found[FLOOR]:.2f} times the floor; clips and their levels the rest"
    name = f"{kind}, {config.n_mels} mels, every {period_s:g} s"
    return Figure(name, "µs a new frame", ours, found, Target(1.5, FLOOR), note)


def noise(seconds: float) -> Samples:
    """Return noise at -20 dBFS."""
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def clips(signal: Samples, config: FeatureConfig, period_s: float) -> None:
    """Cut the clips of a signal that comes in blocks, with their features."""
    cutter = ClipCutter(ClipConfig(RATE, CLIP, period_s, config), gate_dbfs=UNGATED_DBFS)
    for start in range(0, len(signal), BLOCK):
        for _ in cutter.feed(signal[start : start + BLOCK]):
            pass


def ffts(signal: Samples, period_s: float) -> None:
    """Compute the spectra of each period's new frames, and nothing else."""
    frames = sliding_window_view(signal, N_FFT)[::HOP]
    portion = round(period_s * RATE / HOP)
    for start in range(0, len(frames), portion):
        np.fft.rfft(frames[start : start + portion], axis=1)


def arithmetic(signal: Samples, config: FeatureConfig, period_s: float) -> None:
    """Compute the log-mel rows of each period's new frames and, for MFCC, the cosine transform of each clip's rows."""
    frames = sliding_window_view(signal, N_FFT)[::HOP]
    portion, held = round(period_s * RATE / HOP), CLIP // HOP
    constant = tables(config)
    rows = np.zeros((held, config.n_mels), np.float32)
    for start in range(0, len(frames), portion):
        spectrum = np.fft.rfft(frames[start : start + portion] * constant.window, axis=1)
        power = np.square(spectrum.real)
        power += np.square(spectrum.imag)
        bands = power.astype(np.float32, copy=False) @ constant.mel_filters
        logs = np.log10(np.maximum(bands, np.float32(config.log_floor)))
        rows = np.concatenate([rows[len(logs) :], logs])
        if config.kind == "mfcc":
            rows @ constant.dct_matrix


def _peers(signal: Samples, config: FeatureConfig, period_s: float) -> dict[str, Work]:
    """The peers that are installed, and can compute this."""
    found: dict[str, Work] = {}
    period = round(period_s * RATE)
    portions = [signal[max(0, start - WIN + HOP) : start + period] for start in range(0, len(signal), period)]
    frames = len(signal) // HOP
    if installed("librosa"):
        windows = [signal[start : start + CLIP] for start in range(0, len(signal) - CLIP + 1, period)]
        found["librosa, each clip"] = (_librosa(windows, config), len(windows) * period // HOP)
    if installed("python_speech_features"):
        found["python_speech_features"] = (_python_speech_features(portions, config), frames)
    if installed("kaldi_native_fbank"):
        found["kaldi-native-fbank"] = (_kaldi(signal, period, config), frames)
    if installed("pymicro_features") and config.kind == "log_mel" and config.n_mels == 40:
        found["pymicro-features"] = (_pymicro(signal), frames)
    return found


def _librosa(windows: list[Samples], config: FeatureConfig) -> Callable[[], object]:
    import librosa

    def run() -> None:
        for window in windows:
            mels = librosa.feature.melspectrogram(
                y=window,
                sr=RATE,
                n_fft=N_FFT,
                win_length=WIN,
                hop_length=HOP,
                n_mels=config.n_mels,
                center=False,
            )
            logs = librosa.power_to_db(mels)
            if config.kind == "mfcc":
                librosa.feature.mfcc(S=logs, n_mfcc=N_MFCC)

    return run


def _python_speech_features(portions: list[Samples], config: FeatureConfig) -> Callable[[], object]:
    import python_speech_features as psf

    def run() -> None:
        for portion in portions:
            if config.kind == "mfcc":
                psf.mfcc(portion, RATE, winlen=0.025, winstep=0.01, numcep=N_MFCC, nfilt=config.n_mels, nfft=N_FFT)
            else:
                psf.logfbank(portion, RATE, winlen=0.025, winstep=0.01, nfilt=config.n_mels, nfft=N_FFT)

    return run


def _kaldi(signal: Samples, period: int, config: FeatureConfig) -> Callable[[], object]:
    import kaldi_native_fbank as knf

    options = knf.MfccOptions() if config.kind == "mfcc" else knf.FbankOptions()
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = config.n_mels
    online = knf.OnlineMfcc if config.kind == "mfcc" else knf.OnlineFbank
    pieces = [signal[start : start + period].tolist() for start in range(0, len(signal), period)]

    def run() -> None:
        computer, done = online(options), 0
        for piece in pieces:
            computer.accept_waveform(RATE, piece)
            np.stack([computer.get_frame(number) for number in range(done, computer.num_frames_ready)])
            done = computer.num_frames_ready

    return run


def _pymicro(signal: Samples) -> Callable[[], object]:
    from pymicro_features import MicroFrontend

    pcm = (signal * 32767).astype("<i2").tobytes()
    step = 2 * HOP
    pieces = [pcm[start : start + step] for start in range(0, len(pcm) - step + 1, step)]

    def run() -> None:
        frontend = MicroFrontend()
        for piece in pieces:
            frontend.process_samples(piece)

    return run
