"""Channels that cancel each other out are detected, and one is taken; others are mixed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.mixing import mean
from edgeaudio.recognise.channels import LEAVE_INTERVALS, Mixer, power

RATE = 8000
VOICE = np.random.default_rng(3).uniform(-0.5, 0.5, RATE).astype(np.float32)
OTHER = np.random.default_rng(4).uniform(-0.5, 0.5, RATE).astype(np.float32)


def judged(mixer: Mixer, *channels: np.ndarray) -> Mixer:
    samples = np.stack(channels, axis=1).astype(np.float32)
    mixer.judge(samples, [power(channel) for channel in samples.T])
    return mixer


@pytest.mark.parametrize("gain", [1.0, 0.8, 1.2])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_an_inverted_channel_is_left_out(gain: float, offset: float) -> None:
    mixer = judged(Mixer("auto"), VOICE, offset - gain * VOICE)
    assert mixer.cancels
    assert mixer.heard == (2 if gain > 1 else 1)
    samples = np.stack([VOICE, -VOICE], axis=1)
    np.testing.assert_array_equal(mixer.mix(samples), samples[:, int(mixer.heard) - 1])


@pytest.mark.parametrize(
    "others",
    [(VOICE,), (0.2 * VOICE,), (OTHER,), (0 * VOICE,), (-0.3 * VOICE,), (OTHER, -OTHER), (np.roll(VOICE, 3),)],
    ids=["equal", "softer", "another sound", "dead", "softer and inverted", "two of three", "later"],
)
def test_channels_whose_mean_is_audible_are_mixed(others: tuple[np.ndarray, ...]) -> None:
    mixer = judged(Mixer("auto"), VOICE, *others)
    assert not mixer.cancels
    assert mixer.heard == "mix"


def test_many_unrelated_channels_do_not_cancel() -> None:
    rng = np.random.default_rng(5)
    assert not judged(Mixer("auto"), *rng.uniform(-0.5, 0.5, (64, RATE))).cancels


def test_the_mean_is_kept_on_request_and_cancelling_is_reported() -> None:
    mixer = judged(Mixer("mix"), VOICE, -VOICE)
    assert mixer.cancels
    assert mixer.heard == "mix"


def test_a_requested_channel_is_taken_whatever_the_others_do() -> None:
    mixer = judged(Mixer(2), VOICE, -VOICE)
    assert not mixer.cancels
    np.testing.assert_array_equal(mixer.mix(np.stack([VOICE, OTHER], axis=1)), OTHER)


def test_converter_noise_is_not_judged() -> None:
    assert not judged(Mixer("auto"), 1e-5 * VOICE, -1e-5 * VOICE).cancels


def test_the_mean_is_taken_again_after_ten_intervals() -> None:
    mixer = judged(Mixer("auto"), VOICE, -VOICE)
    for _ in range(LEAVE_INTERVALS - 1):
        assert judged(mixer, VOICE, VOICE).heard == 1
    assert judged(mixer, VOICE, VOICE).heard == "mix"


@given(st.integers(1, 12), st.integers(0, 50), st.integers(0, 50))
def test_the_mean_does_not_depend_on_the_memory_layout(channels: int, n: int, cut: int) -> None:
    samples = np.random.default_rng(n).uniform(-1, 1, (n, channels)).astype(np.float32)
    whole = mean(samples)
    np.testing.assert_array_equal(mean(np.asfortranarray(samples)), whole)
    np.testing.assert_array_equal(np.concatenate([mean(samples[:cut]), mean(samples[cut:])]), whole)
    np.testing.assert_allclose(whole, samples.mean(axis=1, dtype=np.float64), atol=1e-6)
