"""Speech for keyword models: what synthetic voices say in training, and the sound that a model is judged in.

Owns: which words and sentences a synthetic voice says, and which passages a fold is judged in.
Does not know: models, scores; the voices (`voices.py`), and how a string of words is made (`spoken_strings.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tools.synth import acoustics
from tools.synth.event_scenes import is_sounding, recorded
from tools.synth.spoken_strings import CONDITIONS, passages
from tools.synth.voices import (
    JUDGING_SENTENCES,
    SENTENCES,
    WORDS,
    Voice,
    judging_voices,
    say,
    spoken_text,
    training_voices,
    without,
)
from tools.training.dataset import Entry
from tools.training.keyword_data import OTHERS, UNKNOWN, synthetic
from tools.training.keyword_trials import Passage
from tools.training.recordings import Recording

Samples = NDArray[np.float32]

TAKES = 2  # of each keyword by each voice
OTHER_WORDS = 24  # by each voice
OTHER_SENTENCES = 2
PASSAGE_S = 60.0
PAUSE_S = 0.3
NOISE_S = 300.0  # of each fold


def synthetic_words(
    keywords: Sequence[str], count: int, language: str, sample_rate: int, seed: int
) -> Iterator[tuple[Entry, Recording]]:
    """Yield what `count` synthetic voices say: every keyword, and words and sentences without any.

    Raises:
        EdgeaudioError: espeak-ng is not installed, or does not read that language.
    """
    rng = np.random.default_rng((seed, 33))
    words, sentences = without(WORDS, keywords), without(SENTENCES, keywords)
    for voice in tqdm(training_voices(count, language, seed), desc="voices", unit="voice", leave=False):
        texts = [(keyword, spoken_text(keyword)) for keyword in keywords for _ in range(TAKES)]
        texts += [(UNKNOWN, str(word)) for word in rng.choice(words, min(len(words), OTHER_WORDS), replace=False)]
        texts += [
            (UNKNOWN, str(line)) for line in rng.choice(sentences, min(len(sentences), OTHER_SENTENCES), replace=False)
        ]
        for take, ((label, _), samples) in enumerate(zip(texts, _said(voice, texts, sample_rate), strict=True)):
            entry = synthetic(voice.speaker, label, take)
            yield entry, Recording(entry.path, label, samples)


def judged_passages(
    fold: int,
    entries: Sequence[Entry],
    recordings: Sequence[Recording],
    sample_rate: int,
    *,
    language: str,
    with_voices: bool,
    seed: int,
) -> Iterator[Passage]:
    """Yield the sound that the model without `fold` is judged in, all of it new to the model.

    Strings of the words of the fold's speakers in each of CONDITIONS; its speech without a keyword; sentences of
    synthetic voices that no model is trained with, if `with_voices`; its sound without speech; noise.
    """
    own = [(e, r.samples) for e, r in zip(entries, recordings, strict=True) if e.fold == fold]
    own = [(entry, samples) for entry, samples in own if is_sounding(samples, sample_rate)]
    words = [(entry.label, samples) for entry, samples in own if entry.label and entry.label not in OTHERS]
    unknown = [samples for entry, samples in own if entry.label == UNKNOWN]
    quiet = [samples for entry, samples in own if entry.label is None]
    for number, condition in enumerate(CONDITIONS):
        yield from passages(words, quiet, condition, sample_rate, np.random.default_rng((seed, fold, number)))
    rng = np.random.default_rng((seed, fold, len(CONDITIONS)))
    yield from _chained("speech of people, no keyword", unknown, sample_rate, rng)
    if with_voices:
        keywords = {label for label, _ in words}
        texts = without(JUDGING_SENTENCES, keywords)
        spoken = [(UNKNOWN, text) for text in texts]
        said = [samples for voice in judging_voices(language, seed) for samples in _said(voice, spoken, sample_rate)]
        yield from _chained("synthetic speech, no keyword", said, sample_rate, rng)
    yield from _chained("sound without speech", quiet, sample_rate, rng)
    for _ in range(round(NOISE_S / PASSAGE_S)):
        noise = acoustics.coloured_noise(round(PASSAGE_S * sample_rate), rng, slope=rng.uniform(0, 2))
        yield Passage("noise", recorded(noise, sample_rate, rng, through=False))


def _said(voice: Voice, texts: Sequence[tuple[str, str]], sample_rate: int) -> list[Samples]:
    """Return the texts of (label, text) read aloud; a program for each of them runs, several at once."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda text: say(voice, text[1], sample_rate), texts))


def _chained(kind: str, sounds: Sequence[Samples], sample_rate: int, rng: np.random.Generator) -> Iterator[Passage]:
    """Yield recordings end to end at one level, in passages of about PASSAGE_S."""
    pieces: list[Samples] = []
    length = 0
    for number, samples in enumerate(sounds):
        pause = acoustics.coloured_noise(round(PAUSE_S * sample_rate), rng, slope=1.0)
        pieces += [acoustics.at_level(samples, 0.0), acoustics.at_level(pause, -50.0)]
        length += len(samples) + len(pause)
        if length >= PASSAGE_S * sample_rate or number == len(sounds) - 1:
            yield Passage(kind, recorded(np.concatenate(pieces), sample_rate, rng, through=False))
            pieces, length = [], 0
