"""Clips whose sound can be heard: real WAV in the place of what `put_clip` writes, and records that fit it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.clips import RATE, put_clip
from support.wave_files import write_wave

from edgeaudio.clips.library import Clip
from edgeaudio.clips.record import SUFFIX, ClipFormat

# labels that would be another path, markup, a formula, a device or a line
ATTACKS = [
    "a/b:c",
    "../x",
    "..",
    ".hidden",
    "/etc/passwd",
    "<img src=x onerror=alert(1)>",
    "dog\nroot\t0",
    "\x1b[2J\x9b",
    '"dog',
    "=1+1",
    "con",
    "dog.",
    "x" * 200,
    "犬" * 100,
    "-rf",
    " ",
]


def clicks(length_s: float = 7, rate: int = RATE, at_s: float = 3) -> NDArray[np.float64]:
    """Silence with a click, `(n,)`."""
    samples = np.zeros(round(length_s * rate))
    samples[round(at_s * rate)] = 0.5
    return samples


def put_wave(
    folder: Path, event_id: str, onset: datetime, samples: NDArray[Any] | None = None, *, rate: int = RATE, **more: Any
) -> Clip:
    """Write a clip with samples `(n,)` or `(n, channels)`."""
    clip = put_clip(folder, event_id, onset, **more)
    samples = clicks(rate=rate) if samples is None else samples
    write_wave(clip.sound, samples, rate)
    return fitted(clip, samples, rate)


def fitted(clip: Clip, samples: NDArray[Any], rate: int, sound_format: ClipFormat = "wav") -> Clip:
    """Have the record say what the sound is, of which the samples are known."""
    sound = clip.record.sound.model_copy(
        update={
            "bytes": clip.sound.stat().st_size,
            "format": sound_format,
            "sample_rate": rate,
            "channels": 1 if samples.ndim == 1 else samples.shape[1],
            "count": len(samples),
            "onset": 3 * rate,
            "offset": 5 * rate,
        }
    )
    return changed(clip, sound=sound)


def changed(clip: Clip, **fields: Any) -> Clip:
    """Write the record with other fields."""
    record = clip.record.model_copy(update=fields)
    clip.file.write_text(record.to_json(), encoding="utf-8")
    return Clip(clip.file, record)


def renamed(clip: Clip, ending: str) -> Clip:
    """Have the sound's file end otherwise; it is not written."""
    clip.sound.unlink(missing_ok=True)
    file = clip.file.name.removesuffix(SUFFIX) + ending
    return changed(clip, sound=clip.record.sound.model_copy(update={"file": file}))
