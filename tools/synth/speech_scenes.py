"""Scenes with speech: groups of spoken digits in real noise, and strings of sayings, with what is said and where.

Owns: how they are put together, and which parts of them are speech. Does not know: what listens to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeaudio.errors import EdgeaudioError
from edgeaudio.types import UTTERANCE_RATE, Samples
from tools.synth import acoustics
from tools.synth.event_scenes import PIECE_S, SOUNDING_DB
from tools.training.recordings import Recording, read_audio

NOISES = ("rain", "sea_waves", "chainsaw", "helicopter", "fire_crackling")  # of ESC-10
GROUP = 4  # digits
GAP_S = (0.1, 0.4)  # between the digits of a group
LEAD_S = (2.0, 3.5)  # of noise before a group
TAIL_S = 1.5  # and after it
LEVEL_DBFS = (-50.0, -15.0)  # of the speech
PIECE = round(PIECE_S * UTTERANCE_RATE)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True, eq=False)
class Saying:
    """Somebody says something: float32 (n,) at UTTERANCE_RATE, without silence around it."""

    speaker: str
    text: str
    samples: Samples


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Sound with speech in it."""

    samples: Samples  # float32 (n,) at UTTERANCE_RATE
    is_speech: NDArray[np.bool_]  # (n // PIECE,)
    sayings: tuple[Saying, ...]
    spans: tuple[tuple[int, int], ...]  # of each saying, in samples
    noise: str


def digits(folder: Path) -> list[Saying]:
    """Return the spoken digits of a folder with files named DIGIT_SPEAKER_TAKE.wav. Raises EdgeaudioError."""
    sayings = []
    for path in sorted(folder.glob("[0-9]_*_*.wav")):
        digit, speaker, _ = path.stem.split("_", 2)
        sayings.append(Saying(speaker, DIGITS[int(digit)], trimmed(read_audio(path, UTTERANCE_RATE))))
    if not sayings:
        raise EdgeaudioError(f"{folder}: no digits there, such as 7_theo_12.wav")
    return sayings


def trimmed(samples: Samples) -> Samples:
    """Return the samples from the first piece that sounds to the last."""
    sounding = np.flatnonzero(speech_pieces(samples))
    return samples[sounding[0] * PIECE : (sounding[-1] + 1) * PIECE] if len(sounding) else samples


def speech_pieces(samples: Samples) -> NDArray[np.bool_]:
    """Return which pieces of PIECE_S sound: at most SOUNDING_DB under the loudest one."""
    whole = samples[: len(samples) // PIECE * PIECE].reshape(-1, PIECE)
    powers = np.square(whole, dtype=np.float64).mean(axis=1)
    loud: NDArray[np.bool_] = (powers > 0) & (powers >= powers.max(initial=0.0) * 10 ** (-SOUNDING_DB / 10))
    return loud


def string(sayings: Sequence[Saying], gaps_s: Sequence[float], lead_s: float, tail_s: float) -> Scene:
    """Return sayings one after the other in digital silence, each at the level that it has.

    gaps_s: between them, one fewer than sayings.
    """
    pieces: list[Samples] = [_silence(lead_s)]
    spans = []
    for saying, gap_s in zip(sayings, [*gaps_s, tail_s], strict=True):
        begin = sum(map(len, pieces))
        spans.append((begin, begin + len(saying.samples)))
        pieces += [saying.samples, _silence(gap_s)]
    samples = np.concatenate(pieces)
    is_speech = np.zeros(len(samples) // PIECE, np.bool_)
    for begin, end in spans:
        first, last = -(-begin // PIECE), end // PIECE
        is_speech[first:last] = speech_pieces(samples[first * PIECE : last * PIECE])
    return Scene(samples, is_speech, tuple(sayings), tuple(spans), "")


def in_noise(scene: Scene, noise: Recording, snr_db: float, rng: np.random.Generator) -> Scene:
    """Return a scene in noise, which is repeated.

    The SNR is that of the speech's sounding pieces to the noise from the first saying's beginning to the last's end.
    """
    first, last = scene.spans[0][0], scene.spans[-1][1]
    n = len(scene.samples)
    begin = int(rng.integers(len(noise.samples)))
    background = np.resize(np.roll(noise.samples, -begin), n)
    whole = scene.samples[: len(scene.is_speech) * PIECE].reshape(-1, PIECE)[scene.is_speech]
    level = 10 ** (rng.uniform(*LEVEL_DBFS) / 20)  # RMS
    speech = scene.samples * np.float32(level / acoustics.rms(whole.ravel()))
    loudness = level / 10 ** (snr_db / 20) / max(acoustics.rms(background[first:last]), 1e-9)
    mixed = np.clip(speech + background * np.float32(loudness), -1.0, 1.0)
    return replace(scene, samples=mixed.astype(np.float32), noise=noise.label)


def digit_groups(
    sayings: Sequence[Saying], noises: Sequence[Recording], n: int, snr_db: float, rng: np.random.Generator
) -> list[Scene]:
    """Return `n` groups of digits, each of one speaker, in each kind of noise and by each speaker in turn."""
    speakers = sorted({saying.speaker for saying in sayings})
    by_speaker = {speaker: [saying for saying in sayings if saying.speaker == speaker] for speaker in speakers}
    kinds = sorted({noise.label for noise in noises})
    scenes = []
    for index in range(n):
        of_speaker = by_speaker[speakers[index // len(kinds) % len(speakers)]]
        of_kind = [noise for noise in noises if noise.label == kinds[index % len(kinds)]]
        chosen = [of_speaker[k] for k in rng.choice(len(of_speaker), GROUP, replace=False)]
        level = [replace(each, samples=acoustics.at_level(each.samples, -20.0)) for each in chosen]
        clean = string(level, rng.uniform(*GAP_S, GROUP - 1).tolist(), rng.uniform(*LEAD_S), TAIL_S)
        scenes.append(in_noise(clean, of_kind[rng.integers(len(of_kind))], snr_db, rng))
    return scenes


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * UTTERANCE_RATE), np.float32)
