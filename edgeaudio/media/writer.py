"""Audio files: Opus in Ogg, FLAC and WAV, written as the samples come.

Owns: which file format can hold which sound, encoding with FFmpeg (PyAV), and the file until it is complete.
Does not know: what the sound is, where files lie, what is written beside them.

FLAC and WAV have 24 bits, which is all that a float32 sample has near full scale: quiet sound keeps its detail. For
sound of a 16-bit stream that costs FLAC nothing, because it leaves out bits that are always zero. Opus has two channels
at most here: more would need a mapping that most players refuse.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

import av
import numpy as np

from edgeaudio.errors import EdgeaudioError
from edgeaudio.types import Samples

AudioFormat = Literal["opus", "flac", "wav"]
OPUS_RATE_HZ: Final = 48_000  # at which every Opus file is decoded
OPUS_INPUT_RATES_HZ: Final = (8_000, 12_000, 16_000, 24_000, 48_000)  # other sound is resampled
_OPUS_MAX_CHANNELS = 2
_OPUS_BITS_PER_SAMPLE, _OPUS_MAX_BIT_RATE = 4, 64_000  # of each channel
_FLAC_MAX_CHANNELS, _FLAC_MAX_RATE_HZ = 8, 655_350  # of the format
_FLAC_MAX_SAMPLES_PER_S = 800_000  # of all channels: FFmpeg cannot read frames that are larger
_FULL_SCALE = 1 << 23
_MAX_PIECE = 65_536  # samples of a channel that are encoded at once
_CONTAINERS: dict[AudioFormat, str] = {"opus": "ogg", "flac": "flac", "wav": "wav"}
_CODECS: dict[AudioFormat, Literal["libopus", "flac", "pcm_s24le"]] = {
    "opus": "libopus",
    "flac": "flac",
    "wav": "pcm_s24le",
}


class AudioWriterError(EdgeaudioError):
    """FFmpeg cannot encode the sound."""


@dataclass(frozen=True, slots=True)
class AudioForm:
    """Form of an audio file for one kind of sound."""

    format: AudioFormat
    sample_rate: int  # Hz, of the file
    channels: int
    source_rate: int  # Hz, of the samples that are written to it

    @classmethod
    def of(cls, wanted: AudioFormat, sample_rate: int, channels: int) -> AudioForm:
        """Return the wanted form, or the next that can hold the sound whole: FLAC, then WAV."""
        form = wanted
        if form == "opus" and (sample_rate > OPUS_RATE_HZ or channels > _OPUS_MAX_CHANNELS):
            form = "flac"
        if form == "flac" and (
            channels > _FLAC_MAX_CHANNELS
            or sample_rate > _FLAC_MAX_RATE_HZ
            or sample_rate * channels > _FLAC_MAX_SAMPLES_PER_S
        ):
            form = "wav"
        return cls(form, OPUS_RATE_HZ if form == "opus" else sample_rate, channels, sample_rate)

    def position(self, sample: int) -> int:
        """Return the sample of the file at which a sample of the source is."""
        return (2 * sample * self.sample_rate + self.source_rate) // (2 * self.source_rate)

    def count(self, samples: int) -> int:
        """Return how many samples of the file hold so many of the source: a resampler begins one with the last."""
        return -(-samples * self.sample_rate // self.source_rate)


class AudioWriter:
    """One audio file that grows. Not safe for several threads.

    Every method raises OSError if the disk fails; then, as after `abort`, nothing but `abort` may be called.
    """

    def __init__(self, path: Path, form: AudioForm) -> None:
        """Make the file, which must not be there."""
        self.form = form
        self.written = 0  # samples of each channel, of the source
        self._sample_format: Literal["flt", "s32"] = "flt" if form.format == "opus" else "s32"
        # a channel is a channel: an array of hydrophones has no speakers
        self._layout = {1: "mono", 2: "stereo"}.get(form.channels, f"{form.channels} channels")
        self._file = _File(path)
        try:
            self._container = av.open(self._file, "w", format=_CONTAINERS[form.format])
            rate = form.source_rate
            if form.format == "opus" and rate not in OPUS_INPUT_RATES_HZ:
                rate = OPUS_RATE_HZ
            self._stream = self._container.add_stream(_CODECS[form.format], rate=rate, layout=self._layout)
            self._stream.format = self._sample_format
            if form.format == "opus":
                per_channel = min(_OPUS_BITS_PER_SAMPLE * form.source_rate, _OPUS_MAX_BIT_RATE)
                self._stream.bit_rate = per_channel * form.channels
            self._container.start_encoding()
        except (av.FFmpegError, OSError, ValueError) as error:
            self._file.close()
            raise self._file.error or AudioWriterError(f"{path.name} cannot be encoded: {error}") from None

    def write(self, samples: Samples) -> None:
        """Append samples, float32 (n,) or (n, channels), clipped to [-1, 1]."""
        rows = samples.reshape(len(samples), -1)
        for begin in range(0, len(rows), _MAX_PIECE):
            piece = rows[begin : begin + _MAX_PIECE]
            frame = av.AudioFrame.from_ndarray(self._packed(piece), format=self._sample_format, layout=self._layout)
            frame.sample_rate = self.form.source_rate
            frame.pts = self.written
            frame.time_base = Fraction(1, self.form.source_rate)
            self._encode(frame)
            self.written += len(piece)

    def close(self) -> int:
        """Complete the file, have the disk hold it, and return its bytes."""
        self._encode(None)
        try:
            self._container.close()
        except av.FFmpegError as error:
            raise self._file.error or AudioWriterError(f"the sound cannot be completed: {error}") from None
        if self._file.error is not None:
            raise self._file.error
        return self._file.sync()

    def abort(self) -> None:
        """Close without completing the file, which stays for the caller to remove. Never raises."""
        self._file.is_dropping = True
        with suppress(av.FFmpegError, OSError, ValueError):
            self._container.close()
        self._file.close()

    def _packed(self, piece: Samples) -> np.ndarray:
        """Return samples of any float as FFmpeg takes them: interleaved, (1, n * channels)."""
        clipped = np.clip(piece, -1.0, 1.0)
        if self._sample_format == "flt":
            return np.ascontiguousarray(clipped, np.float32).reshape(1, -1)
        whole = np.rint(clipped.astype(np.float64) * _FULL_SCALE)
        # 24 bits in the upper ones of 32
        return (np.minimum(whole, _FULL_SCALE - 1).astype(np.int32) << 8).reshape(1, -1)

    def _encode(self, frame: av.AudioFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except av.FFmpegError as error:
            raise self._file.error or AudioWriterError(f"the sound cannot be encoded: {error}") from None
        if self._file.error is not None:
            raise self._file.error


class _File:
    """File for FFmpeg to write to: remembers the first error, which FFmpeg turns into one of its own."""

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self.is_dropping = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor: int | None = os.open(path, flags, 0o600)

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view and not self.is_dropping and self.error is None and self._descriptor is not None:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError as error:
                self.error = error
                raise
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0 if self._descriptor is None else os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        return self.seek(0, os.SEEK_CUR)

    def sync(self) -> int:
        """Have the disk hold the file, close it, and return its bytes. Raises OSError."""
        assert self._descriptor is not None  # noqa: S101 (for mypy: it is closed once, here or in `close`)
        os.fsync(self._descriptor)
        size = os.fstat(self._descriptor).st_size
        self.close()
        return size

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
