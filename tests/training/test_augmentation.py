"""Clips made of recordings: their length, their loudness, and answers that say what is in them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.augmentation import Example, Recipe, blot_out, loudness, make_clip

RATE = 8_000
CALM = Recipe(mixing=0.0, speed=0.0, room=0.0, microphone=0.0, noise=0.0, blots=0)


def example(length, answer=(1.0, 0.0), amplitude=0.5):
    time_s = np.arange(length) / RATE
    return Example(
        (amplitude * np.sin(2 * np.pi * 500 * time_s)).astype(np.float32), np.array(answer, dtype=np.float32)
    )


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 3 * RATE), min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1))
def test_any_recordings_give_a_clip(lengths, seed):
    examples = [example(length) for length in lengths]
    clip, answer = make_clip(examples, RATE, RATE, Recipe(), np.random.default_rng(seed))
    assert clip.shape == (RATE,)
    assert clip.dtype == answer.dtype == np.float32
    assert np.isfinite(clip).all()
    assert np.max(np.abs(clip)) <= 1.0
    assert answer.sum() == pytest.approx(1.0, abs=1e-5)


def test_level_lies_in_the_range_asked_for():
    for seed in range(20):
        clip, _ = make_clip([example(2 * RATE)], RATE, RATE, CALM, np.random.default_rng(seed))
        assert -40.5 <= 20 * np.log10(loudness(clip)) <= -9.5


def test_mixed_answers_follow_the_audible_shares():
    # the quiet recording is weighed up: a share of the label is a share of what is heard
    tone = Example(example(RATE, (1.0, 0.0), 0.01).samples, np.array([1.0, 0.0], dtype=np.float32))
    other = Example(np.sign(example(RATE).samples) * np.float32(0.5), np.array([0.0, 1.0], dtype=np.float32))
    recipe = Recipe(mixing=1.0, speed=0.0, room=0.0, microphone=0.0, noise=0.0)
    for seed in range(30):
        clip, answer = make_clip([tone, other], RATE, RATE, recipe, np.random.default_rng(seed))
        if 0.2 < answer[0] < 0.8:
            third_harmonic, fundamental = (np.abs(np.fft.rfft(clip))[hz - 20 : hz + 20].max() for hz in (1500, 500))
            assert third_harmonic < 0.34 * fundamental, "the tone adds to the fundamental alone"


def test_blots_are_the_mean_and_leave_most():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(80, 40)).astype(np.float32)
    before = values.copy()
    blot_out(values, Recipe(blots=1), rng)
    changed = values != before
    assert 0 < changed.sum() < 0.25 * values.size
    assert np.unique(values[changed]).size <= 2


def test_loudness_is_that_of_the_loud_part():
    bark = np.zeros(RATE, dtype=np.float32)
    bark[: RATE // 5] = 0.5
    assert loudness(bark) == pytest.approx(0.5, abs=1e-3)
