"""The way of a sound into a recording: to a background, then through a microphone.

Owns: the order and the probabilities of the changes of `acoustics.py`.
Does not know: what the sound is, or what is trained with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tools.synth import acoustics

Samples = NDArray[np.float32]


def travelled(sound: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return the sound as it arrives at the background: often through a room, often from afar."""
    if rng.random() < 0.7:
        sound = acoustics.room(sound, sample_rate, rng)
    if rng.random() < 0.5:
        sound = acoustics.distance(sound, sample_rate, rng)
    return sound


def mixed(sound: Samples, background: Samples, sound_rms: float, snr_db: float) -> Samples:
    """Return a sound over a background, `snr_db` between the RMS of its sounding parts and the background's."""
    background_rms = acoustics.rms(background)
    if sound_rms == 0.0 or background_rms == 0.0:
        return sound + background
    return background / np.float32(background_rms) + sound * np.float32(10 ** (snr_db / 20) / sound_rms)


def received(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return the sound by a microphone, its amplifier and a codec, at any of their levels."""
    if rng.random() < 0.6:
        samples = acoustics.microphone(samples, sample_rate, rng)
    if rng.random() < 0.1:
        samples = acoustics.clipping(samples, rng)
    if rng.random() < 0.35:
        samples = acoustics.codec(samples, sample_rate, rng)
    samples = acoustics.at_level(samples, rng.uniform(-50, -8))
    hiss = acoustics.coloured_noise(len(samples), rng, slope=rng.uniform(0, 1))
    samples = samples + hiss * np.float32(10 ** (rng.uniform(-95, -60) / 20))
    return np.clip(samples, -1.0, 1.0)
