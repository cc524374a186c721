"""Beeps of a house are no alarm's: neither their cadence nor what goes on without one."""

import numpy as np
import pytest

from tools.synth.house_beeps import HOUSE_BEEPS, fridge_door, reversing_lorry

RATE = 16_000


def beats_hz(samples):
    """The strongest rate at which the level rises and falls, between 0.5 and 8 a second."""
    size = RATE // 100
    level = np.sqrt(np.mean(samples[: len(samples) // size * size].reshape(-1, size) ** 2, axis=1))
    power = np.abs(np.fft.rfft((level - level.mean()) * np.hanning(len(level)), 8 * len(level)))
    frequency_hz = np.fft.rfftfreq(8 * len(level), 0.01)
    return frequency_hz[np.argmax(power * ((frequency_hz > 0.5) & (frequency_hz < 8)))]


@pytest.mark.parametrize("kind", HOUSE_BEEPS)
def test_every_kind_is_finite_as_long_as_asked_and_made_again(kind):
    for seed in range(8):
        samples, again = (HOUSE_BEEPS[kind](2.5, RATE, np.random.default_rng(seed)) for _ in range(2))
        assert samples.dtype == np.float32
        assert samples.shape == (round(2.5 * RATE),)
        assert np.isfinite(samples).all()
        assert samples.any()
        np.testing.assert_array_equal(samples, again)


def test_a_lorry_beeps_as_often_as_its_standard_has_it():
    beats = [beats_hz(reversing_lorry(12.0, RATE, np.random.default_rng(seed))) for seed in range(12)]
    # an engine may be louder than its beeper, and a beeper may stop
    assert np.mean([0.95 <= beat <= 2.6 for beat in beats]) >= 0.75


@pytest.mark.parametrize("maker", ["fridge_door", "microwave_oven", "kitchen_timer"])
def test_no_cadence_of_an_alarm_is_drawn(maker, monkeypatch):
    asked = []

    def any_is_an_alarms(*cadence):
        asked.append(cadence)
        return len(asked) < 4

    monkeypatch.setattr("tools.synth.house_beeps.is_alarm_cadence", any_is_an_alarms)
    for seed in range(20):
        if asked:
            break
        HOUSE_BEEPS[maker](4.0, RATE, np.random.default_rng(seed))
    assert len(asked) == 4, "drawn until it is none"


def test_an_open_fridge_hums_between_its_beeps():
    for seed in range(5):
        samples = fridge_door(10.0, RATE, np.random.default_rng(seed))
        size = RATE // 10
        levels = np.sqrt(np.mean(samples[: len(samples) // size * size].reshape(-1, size) ** 2, axis=1))
        assert levels.min() > 0.01 * levels.max()
