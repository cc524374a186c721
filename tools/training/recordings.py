"""Recordings on disk: decoded, mixed to mono, and resampled to the model's rate as the agent does it.

Owns: reading of audio files, and fold or speaker of a recording. Does not know: models, changes of sounds.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.resample import Resampler

Samples = NDArray[np.float32]
SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff"})


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One file: float32 (n,) at the rate asked for; `label` is the name of its folder."""

    path: Path
    label: str
    samples: Samples

    @property
    def fold(self) -> int | None:
        """The cross-validation fold, where the file's name begins with one as ESC's do."""
        head = self.path.name.split("-")[0]
        return int(head) if head.isdigit() and len(head) == 1 and "-" in self.path.name else None


def read_audio(path: Path, sample_rate: int) -> Samples:
    """Decode a file to mono float32 (n,) at `sample_rate`.

    Raises:
        EdgeaudioError: The file is missing, or holds no audio that can be decoded.
    """
    pieces, rate = [], sample_rate
    try:
        with av.open(str(path)) as container:
            to_float = av.AudioResampler(format="fltp")
            for frame in container.decode(audio=0):
                pieces += [part.to_ndarray() for part in to_float.resample(frame)]
                rate = frame.sample_rate
    except (av.error.FFmpegError, IndexError) as error:
        problem = getattr(error, "strerror", None) or "no audio track"
        message = f"{path}: no audio that can be decoded ({problem}); convert it to WAV or FLAC, or remove it"
        raise EdgeaudioError(message) from error
    if not pieces:
        message = f"{path}: holds no audio; remove it, or record it again"
        raise EdgeaudioError(message)
    mono = np.concatenate(pieces, axis=1).astype(np.float32, copy=False).mean(axis=0)
    resampler = Resampler(rate, sample_rate)
    return np.concatenate([resampler.feed(mono), resampler.flush()])


def read_folder(folder: Path, sample_rate: int) -> list[Recording]:
    """Return every recording under a folder, in the order of their paths, without trailing digital silence.

    Raises:
        EdgeaudioError: The folder is missing or holds no recording.
    """
    paths = audio_files(folder, "give a folder with audio files")
    return [Recording(path, path.parent.name, without_padding(read_audio(path, sample_rate))) for path in paths]


def audio_files(folder: Path, advice: str) -> list[Path]:
    """Return every audio file under a folder, in the order of their paths.

    Raises:
        EdgeaudioError: The folder is missing or holds none; ends with `advice`.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise EdgeaudioError(f"{folder}: no recordings there; {advice}")
    return paths


def without_padding(samples: Samples) -> Samples:
    """Return the samples up to the last one above -80 dBFS: the rest is padding."""
    heard = np.flatnonzero(np.abs(samples) > 1e-4)
    return samples[: heard[-1] + 1] if heard.size else samples


def through(recording: Recording, camera_rate: int, sample_rate: int) -> Recording:
    """Return a recording at `sample_rate` as a stream of `camera_rate` has it: nothing above half of that."""
    samples = recording.samples
    for rates in ((sample_rate, camera_rate), (camera_rate, sample_rate)):
        resampler = Resampler(*rates)
        samples = np.concatenate([resampler.feed(samples), resampler.flush()])
    return replace(recording, samples=samples)


def write_wav(path: Path, samples: Samples, sample_rate: int) -> None:
    """Write mono 16-bit PCM; what exceeds full scale is clipped."""
    pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.tobytes())
