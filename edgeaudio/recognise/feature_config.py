"""What decides a feature's numbers: one frozen set of parameters.

Owns: the parameters, their defaults, their contradictions, and the geometry that follows from them.
Does not know: how anything is computed.

The vocabulary and the defaults are librosa's; where torchaudio, tf.signal, Kaldi or
python_speech_features differ, an option says how. A *frame* is one STFT slice and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

# far beyond any sound model's, and small enough for the tables of a board with 512 MB
MAX_N_FFT = 32_768
MAX_N_MELS = 512
MAX_CMVN_WINDOW = 999
# kind "micro_frontend" computes its other constants itself (micro_frontend.py)
MICRO_N_FFT = 512
_MICRO_FIELDS = (
    "kind", "sample_rate", "n_fft", "hop_length", "n_mels", "win_length", "win_align", "fmin", "fmax",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeatureConfig:
    """Everything that decides the features' numbers. Frequencies in Hz, lengths in samples.

    Raises ValueError, naming the field, where the values contradict each other.
    """

    kind: Literal["spectrogram", "log_mel", "mfcc", "micro_frontend"]
    sample_rate: int
    n_fft: int
    hop_length: int
    n_mels: int = 0  # needed for log_mel, mfcc and micro_frontend
    win_length: int = 0  # 0: n_fft
    window: Literal["hann", "hamming", "blackman", "povey", "rectangular"] = "hann"
    periodic: bool = True  # False: symmetric, as Kaldi and numpy.hanning have it
    # Where a window shorter than n_fft sits. "centre" (librosa, torch): a frame spans n_fft samples.
    # "start" (tf.signal, Kaldi): a frame spans win_length samples, and zeros follow it.
    win_align: Literal["centre", "start"] = "centre"
    center: bool = False  # pad the clip so that frame i is centred on sample i * hop_length
    pad_mode: Literal["constant", "reflect"] = "constant"
    pad_end: int = 0  # zeros after a clip, where a last frame is filled up (python_speech_features)
    sample_scale: float = 1.0  # 32768 for models trained on the values of 16-bit integers
    remove_dc: bool = False  # subtract each frame's mean (Kaldi)
    preemphasis: float = 0.0
    # "signal": y[n] = x[n] - a x[n-1] over the clip. "frame": within each frame (Kaldi).
    preemphasis_over: Literal["signal", "frame"] = "signal"
    power: Literal[1, 2] = 2  # 1: magnitude, 2: power spectrum
    spectrum_scale: float = 1.0  # e.g. 1 / n_fft for python_speech_features
    first_bin: int = 0  # of the spectrum, for a spectrogram
    n_bins: int = 0  # 0: from the first to the last, which is n_fft // 2
    fmin: float = 0.0
    fmax: float = 0.0  # 0: half the sample rate
    mel_scale: Literal["slaney", "htk"] = "slaney"
    norm: Literal["slaney", "none"] = "slaney"  # "slaney": filters of equal area
    # What the filters' slopes are straight in: Hz (librosa, torchaudio), mel (Kaldi, tf.signal), or
    # FFT bins rounded down (python_speech_features).
    mel_slopes: Literal["hz", "mel", "bin"] = "hz"
    log: Literal["db", "log10", "ln", "none"] = "db"  # db: 10 log10 of power, 20 log10 of magnitude
    log_floor: float = 1e-10  # log(max(x, log_floor)); 0 with a log_offset
    log_offset: float = 0.0  # log(x + log_offset)
    ref: float | Literal["max"] = 1.0  # what 0 dB is; "max": the clip's own maximum
    top_db: float = 0.0  # clip this far under the clip's maximum; 0: do not
    n_mfcc: int = 13
    dct_type: Literal[1, 2, 3] = 2
    dct_norm: Literal["ortho", "none", "htk"] = "ortho"  # "htk": sqrt(2 / n_mels) for all (tf.signal)
    # What the first coefficient is: the DCT's own, or the logarithm of the frame's energy, taken of its
    # samples before pre-emphasis (Kaldi's use_energy) or of its spectrum (psf's appendEnergy).
    c0: Literal["dct", "sample_energy", "spectrum_energy"] = "dct"
    lifter: float = 0.0
    lifter_from: Literal[0, 1] = 1  # index of the first coefficient: librosa 1, HTK and Kaldi 0
    cmvn_window: int = 0  # frames, odd: each feature to a mean of 0 and a deviation of 1 over those around it; 0: off
    standardize: bool = False  # each clip to a mean of 0 and a standard deviation of 1, over all of its values
    mean: tuple[float, ...] = ()  # one, or one per coefficient: subtracted
    std: tuple[float, ...] = ()  # one, or one per coefficient: divided by
    clip_min: float | None = None
    clip_max: float | None = None

    def __post_init__(self) -> None:
        positive = ("sample_rate", "n_fft", "hop_length", "sample_scale", "spectrum_scale")
        for name in positive:
            if not getattr(self, name) > 0:
                msg = f"{name} must be above 0"
                raise ValueError(msg)
        nyquist = self.sample_rate / 2
        low = -np.inf if self.clip_min is None else self.clip_min
        high = np.inf if self.clip_max is None else self.clip_max
        is_mel, last_bin = self.kind != "spectrogram", self.n_fft // 2
        problems = (
            (is_mel and self.n_mels < 1, "n_mels must be above 0"),
            (
                is_mel and (self.first_bin != 0 or self.n_bins != 0),
                'first_bin and n_bins go with kind "spectrogram"',
            ),
            (
                not is_mel and (self.n_mels != 0 or self.fmin != 0 or self.fmax != 0),
                "n_mels, fmin and fmax do not go with a spectrogram: say first_bin and n_bins",
            ),
            (
                not (0 <= self.first_bin <= last_bin and 0 <= self.n_bins <= last_bin + 1 - self.first_bin),
                f"first_bin and n_bins must lie within the bins 0 to {last_bin} of n_fft ({self.n_fft})",
            ),
            (self.n_fft > MAX_N_FFT, f"n_fft must be at most {MAX_N_FFT}"),
            (self.n_mels > MAX_N_MELS, f"n_mels must be at most {MAX_N_MELS}"),
            (not 0 <= self.win_length <= self.n_fft, f"win_length must be at most n_fft ({self.n_fft})"),
            (not 0 <= self.pad_end < self.frame_length, f"pad_end must be less than one frame ({self.frame_length})"),
            (self.pad_end > 0 and self.center, "pad_end goes with center = false"),
            (not 0 <= self.fmin < self.upper_hz, "fmin must be from 0 to below fmax"),
            (self.upper_hz > nyquist, f"fmax must be at most half the sample rate ({nyquist:g})"),
            (not 0 <= self.preemphasis < 1, "preemphasis must be from 0 to below 1"),
            (self.log_floor < 0 or self.log_offset < 0, "log_floor and log_offset must not be negative"),
            (
                self.log != "none" and self.log_floor == 0 and self.log_offset == 0,
                "log_floor or log_offset must be above 0: the logarithm of 0 is not a number",
            ),
            (self.ref != "max" and not self.ref > 0, 'ref must be above 0, or "max"'),
            (self.top_db < 0, "top_db must not be negative"),
            (self.log == "none" and (self.top_db > 0 or self.ref != 1.0), "ref and top_db need a logarithm"),
            (self.kind == "mfcc" and not 1 <= self.n_mfcc <= self.n_mels, "n_mfcc must be from 1 to n_mels"),
            (self.dct_norm == "htk" and self.dct_type != 2, 'dct_norm "htk" goes with dct_type 2'),
            (self.dct_type == 1 and self.n_mels < 2, "dct_type 1 needs at least 2 mels"),
            (self.kind != "mfcc" and self.c0 != "dct", 'c0 goes with kind "mfcc"'),
            (self.lifter < 0, "lifter must not be negative"),
            (
                self.cmvn_window != 0 and not (0 < self.cmvn_window <= MAX_CMVN_WINDOW and self.cmvn_window % 2),
                f"cmvn_window must be 0, or an odd number up to {MAX_CMVN_WINDOW}",
            ),
            (len(self.mean) not in (0, 1, self.n_features), f"mean must hold 1 or {self.n_features} numbers"),
            (len(self.std) not in (0, 1, self.n_features), f"std must hold 1 or {self.n_features} numbers"),
            (any(not value > 0 for value in self.std), "std must be above 0"),
            (low > high, "clip_min must be at most clip_max"),
        )
        for wrong, msg in (*problems, *self._micro_problems()):
            if wrong:
                raise ValueError(msg)

    def _micro_problems(self) -> Iterator[tuple[bool, str]]:
        if self.kind != "micro_frontend":
            return
        length, kind = self.window_length, 'kind "micro_frontend"'
        other = next(
            (f.name for f in fields(self) if f.name not in _MICRO_FIELDS and getattr(self, f.name) != f.default), ""
        )
        yield bool(other), f"{other} does not go with {kind}, which has its own"
        yield self.n_fft != MICRO_N_FFT, f"n_fft must be {MICRO_N_FFT} with {kind}"
        yield not length > MICRO_N_FFT // 2, f"win_length must be above {MICRO_N_FFT // 2} with {kind}"
        yield self.win_align != "start", f'win_align must be "start" with {kind}'
        yield self.hop_length > length, f"hop_length must be at most win_length ({length}) with {kind}"
        yield self.upper_hz >= self.sample_rate / 2, f"fmax must be below half the sample rate with {kind}"

    @property
    def needs_whole_clip(self) -> bool:
        """True if a frame's features depend on other frames of its clip, or on where it ends."""
        over_clip = self.ref == "max" or self.top_db > 0 or self.cmvn_window > 0 or self.standardize
        return over_clip or self.center or self.pad_end > 0

    @property
    def n_features(self) -> int:
        """Columns of the result: n_mfcc, n_mels or bins."""
        return self.n_mfcc if self.kind == "mfcc" else self.n_bands

    @property
    def n_bands(self) -> int:
        """What a frame's spectrum becomes: bins or mels."""
        if self.kind == "spectrogram":
            return self.n_bins or self.n_fft // 2 + 1 - self.first_bin
        return self.n_mels

    @property
    def row_width(self) -> int:
        """Columns of a row before the DCT: the bands, and the energy where c0 needs it."""
        return self.n_bands + (self.c0 != "dct")

    @property
    def upper_hz(self) -> float:
        return self.fmax or self.sample_rate / 2

    @property
    def window_length(self) -> int:
        return self.win_length or self.n_fft

    @property
    def frame_length(self) -> int:
        """Samples that one frame spans."""
        return self.n_fft if self.win_align == "centre" else self.window_length

    @property
    def padding(self) -> int:
        """Samples of padding before and after a clip."""
        return self.frame_length // 2 if self.center else 0

    def n_frames(self, n_samples: int) -> int:
        """Frames in a clip of that many samples."""
        return max(0, 1 + (n_samples + 2 * self.padding + self.pad_end - self.frame_length) // self.hop_length)

    def edge_frames(self, n_samples: int) -> tuple[int, int]:
        """How many frames at a clip's beginning and end see its padding or its first sample's history.

        Those differ from the same frames of a longer signal; all between them do not.
        """
        n_frames = self.n_frames(n_samples)
        if self.kind == "micro_frontend":  # every frame knows the noise of those before it
            return n_frames, 0
        starts = np.arange(n_frames) * self.hop_length - self.padding
        history = 1 if self.preemphasis and self.preemphasis_over == "signal" else 0
        left = int(np.count_nonzero(starts < history))
        right = int(np.count_nonzero(starts + self.frame_length > n_samples))
        return left, min(right, n_frames - left)
