"""What tools/evaluate_speech.py counts: scenes and their noise, speech that is missing, word errors."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edgeaudio.types import UTTERANCE_RATE, Samples, Utterance
from tools.evaluate_speech import cut, missed_in
from tools.synth.speech_scenes import PIECE, Saying, Scene, digit_groups, in_noise, string
from tools.synth.word_errors import errors_of, words_of
from tools.training.recordings import Recording

DICE = np.random.default_rng(1)
TONE: Samples = np.sin(np.arange(UTTERANCE_RATE) * 0.3).astype(np.float32)
NOISE = Recording(Path("1-a.ogg"), "rain", DICE.standard_normal(50_000).astype(np.float32))


def scene() -> Scene:
    """A second of tone from 1 s on, and one from 2.5 s on, in 4.5 s."""
    return string([Saying("a", "one", TONE), Saying("a", "two", TONE)], [0.5], 1.0, 1.0)


def said(begin_s: float, end_s: float) -> Utterance:
    samples = np.zeros(round((end_s - begin_s) * UTTERANCE_RATE), np.float32)
    return Utterance("scene", 0, datetime(2026, 1, 1, tzinfo=UTC), begin_s, samples)


def test_words_are_compared_without_case_and_signs_and_digits_are_words() -> None:
    assert words_of("Four, 42 -- don't!") == ["four", "four", "two", "don't"]


@pytest.mark.parametrize(("found", "errors"), [("a b c", 0), ("a x c", 1), ("a c", 1), ("a b b c", 1), ("", 3)])
def test_word_errors(found: str, errors: int) -> None:
    assert errors_of(["a", "b", "c"], found.split()) == errors


def test_a_string_knows_where_speech_is() -> None:
    assert scene().spans == ((16_000, 32_000), (40_000, 56_000))
    assert scene().is_speech.sum() * PIECE == 32_000


def test_noise_is_as_loud_as_it_should_be() -> None:
    noisy = in_noise(scene(), NOISE, 5.0, DICE)
    pieces = noisy.samples[: len(noisy.is_speech) * PIECE].reshape(-1, PIECE)
    powers = np.square(pieces, dtype=np.float64).mean(axis=1)
    noise, both = powers[~noisy.is_speech].mean(), powers[noisy.is_speech].mean()
    assert 10 * np.log10((both - noise) / noise) == pytest.approx(5.0, abs=0.3)


def test_groups_are_of_one_speaker_each_and_in_every_noise() -> None:
    sayings = [Saying(speaker, "one", TONE[:4000]) for speaker in "ab" for _ in range(5)]
    noises = [NOISE, Recording(Path("1-b.ogg"), "sea_waves", NOISE.samples)]
    scenes = digit_groups(sayings, noises, 4, 5.0, DICE)
    found = {(each.sayings[0].speaker, each.noise) for each in scenes}
    assert found == {("a", "rain"), ("a", "sea_waves"), ("b", "rain"), ("b", "sea_waves")}
    assert all(len({saying.speaker for saying in each.sayings}) == 1 for each in scenes)


def test_speech_that_is_missing() -> None:
    missed = missed_in([(scene(), [said(0.5, 2.25)]), (scene(), []), (scene(), [said(0, 4.5)])])
    assert missed.share == pytest.approx(0.5)
    assert (missed.lost, missed.scenes) == (1, 3)


def test_noise_is_no_speech() -> None:
    assert cut(NOISE.samples * np.float32(0.01)) == []
