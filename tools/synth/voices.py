"""Synthetic speakers: espeak-ng's voices and, in English, flite's, each with a speed and a pitch of its own.

Owns: which voices train and which only judge, and the words and sentences that hold no keyword.
Does not know: features, models, folds.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeaudio.errors import EdgeaudioError
from tools.synth.espeak import LIMIT_S, speak
from tools.training.recordings import read_audio

Samples = NDArray[np.float32]

FLITE = "flite"
ENGLISH = "en"
ACCENTS = ("en-gb", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
VARIANTS = (
    "", "+f1", "+m1", "+f2", "+m2", "+f3", "+m3", "+f4", "+m4", "+m5", "+m6", "+klatt", "+klatt3", "+klatt4",
    "+Andrea", "+Andy", "+Annie", "+adam", "+belinda", "+linda", "+edward", "+steph",
)  # fmt: skip
FLITE_VOICES = ("awb", "rms", "kal16")
# of these nothing is trained
JUDGING_VARIANTS = ("+f5", "+m7", "+klatt2", "+Alicia", "+john", "+m8")
JUDGING_FLITE_VOICES = ("slt",)

WORDS = (
    "apple", "answer", "barn", "basket", "better", "bicycle", "bottle", "bridge", "butter", "button", "candle",
    "carpet", "chicken", "circle", "cloud", "coffee", "corner", "cousin", "curtain", "dinner", "doctor", "driver",
    "engine", "evening", "farmer", "father", "feather", "finger", "flower", "forest", "garden", "gentle",
    "guitar", "hammer", "harbour", "honey", "hungry", "island", "jacket", "kitchen", "ladder", "lemon", "letter",
    "little", "marble", "market", "meadow", "mirror", "monday", "mother", "mountain", "music", "needle", "office",
    "orange", "paper", "pencil", "pepper", "picture", "pillow", "planet", "pocket", "potato", "purple", "rabbit",
    "river", "rocket", "sailor", "school", "season", "shadow", "silver", "sister", "summer", "sunday", "table",
    "ticket", "tiger", "tomorrow", "travel", "turtle", "under", "valley", "velvet", "village", "water", "weather",
    "window", "winter", "yellow", "yesterday", "bike", "can", "door", "fish", "fun", "go", "hat", "home", "is",
    "light", "line", "mine", "no", "pen", "play", "rain", "run", "sea", "sky", "stay", "sun", "the", "time",
    "they", "thin", "tree", "was", "win", "yes",
)  # fmt: skip
SENTENCES = (
    "I will be home a little later than I thought, please do not wait for me.",
    "The weather on the coast was better than in the mountains.",
    "Have you seen where the children left their shoes?",
    "Put the bread on the table and close the kitchen window.",
    "They have painted the old harbour office again, in yellow.",
    "My sister plays the piano in the evening, when the street is quiet.",
)
JUDGING_SENTENCES = (
    "The kettle is on the stove, and the cat sleeps in the window.",
    "Tomorrow the ferry leaves early, if the wind allows it.",
    "Would you please turn the music down, the children are asleep!",
    "She sold the old boat, bought a bicycle and never looked back.",
    "Attention please: the train to the airport is about to leave.",
    "We had soup and salad, and then walked along the river until it was dark.",
)


@dataclass(frozen=True, slots=True)
class Voice:
    """One synthetic speaker."""

    program: str
    name: str  # of the program's voice
    speed: float  # of speech, 1 is usual
    pitch: int  # espeak-ng's, 0 to 99

    @property
    def speaker(self) -> str:
        """The speaker's name, unique among the voices."""
        return f"{self.program}-{self.name}"


def training_voices(count: int, language: str, seed: int) -> list[Voice]:
    """Return `count` voices to train with: flite's first, where it is installed and speaks the language."""
    return _voices(count, language, VARIANTS, FLITE_VOICES, np.random.default_rng((seed, 31)))


def judging_voices(language: str, seed: int) -> list[Voice]:
    """Return the voices that no training uses."""
    flite = JUDGING_FLITE_VOICES
    count = len(JUDGING_VARIANTS) * 2 + len(flite)
    return _voices(count, language, JUDGING_VARIANTS, flite, np.random.default_rng((seed, 32)))


def say(voice: Voice, text: str, sample_rate: int) -> Samples:
    """Return the text read aloud, float32 (n,).

    Raises:
        EdgeaudioError: The program is not installed, or refuses the voice or the text.
    """
    if voice.program != FLITE:
        return speak(text, voice.name, round(160 * voice.speed), voice.pitch, sample_rate)
    program = shutil.which(FLITE)
    if program is None:
        raise EdgeaudioError("flite is not installed: apt install flite")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speech.wav"
        stretch = f"duration_stretch={1 / voice.speed:.2f}"
        arguments = [program, "-voice", voice.name, "--setf", stretch, "-t", text, "-o", str(file)]
        try:
            subprocess.run(arguments, check=True, capture_output=True, timeout=LIMIT_S)  # noqa: S603 - our own words
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise EdgeaudioError(f"flite does not read {text!r} as {voice.name}: {error}") from None
        return read_audio(file, sample_rate)


def without(texts: Sequence[str], keywords: Collection[str]) -> list[str]:
    """Return the texts in which no keyword is a word, nor a part of one."""
    spoken = [spoken_text(keyword).lower() for keyword in keywords]
    return [text for text in texts if not any(word in text.lower() for word in spoken)]


def spoken_text(label: str) -> str:
    """Return what is said for a label: `turn_on` is "turn on"."""
    return re.sub(r"[_-]+", " ", label).strip()


def _voices(
    count: int, language: str, variants: Sequence[str], flite: Sequence[str], rng: np.random.Generator
) -> list[Voice]:
    accents = ACCENTS if language == ENGLISH else (language,)
    # every accent meets every variant before one returns; the first ones differ in both
    most = len(accents) * len(variants)
    pairs = [(accents[k % len(accents)], variants[(k + k // most) % len(variants)]) for k in range(most)]
    distinct = dict.fromkeys(pairs)
    names: list[tuple[str, str]] = []
    if language == ENGLISH and shutil.which(FLITE):
        names += [(FLITE, name) for name in flite]
    names += [("espeak-ng", accent + variant) for accent, variant in distinct]
    return list(_made(names[:count], rng))


def _made(names: Sequence[tuple[str, str]], rng: np.random.Generator) -> Iterator[Voice]:
    for program, name in names:
        yield Voice(program, name, float(rng.uniform(0.8, 1.25)), int(rng.integers(25, 75)))
