"""Speech for evaluation: sentences that espeak-ng reads aloud, in voices that no training uses.

Owns: those voices and sentences. Those of training are in `home_speech.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tools.synth.espeak import speak

Samples = NDArray[np.float32]

# in languages of several families
VOICES = (
    "en-gb",
    "en-us+f3",
    "de+f2",
    "fr+m4",
    "es+f1",
    "it+m2",
    "pl+f4",
    "ru+m7",
    "sv+f5",
    "tr+m5",
    "cmn+f2",
    "sw+m1",
)
SENTENCES = (
    "The kettle is on the stove, and the cat sleeps in the window.",
    "Tomorrow the ferry leaves at half past seven, if the wind allows it.",
    "Would you please turn the music down, the children are asleep!",
    "One hundred and twelve, ninety-nine, four thousand and three.",
    "She sold the old boat, bought two bicycles and never looked back.",
    "Attention please: the train on platform six is about to leave.",
)


def espeak(text: str, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return the text in one of VOICES, at any speed and pitch. Raises EdgeaudioError without espeak-ng."""
    voice, speed, pitch = str(rng.choice(VOICES)), int(rng.integers(110, 240)), int(rng.integers(20, 85))
    return speak(text, voice, speed, pitch, sample_rate)
