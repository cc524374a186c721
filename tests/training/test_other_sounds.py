"""What must not be taken for an alarm is no alarm: neither by its cadence nor by accident."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.synth.alarm_sounds import TEMPORAL_FOUR, TEMPORAL_THREE, TOLERANCE
from tools.synth.other_sounds import KINDS, is_alarm_cadence, make_other

RATE = 16_000


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_finite_and_as_long_as_asked(kind):
    for seed in range(2):
        samples = make_other(2.5, RATE, np.random.default_rng(seed), kind)
        assert samples.dtype == np.float32
        assert samples.shape == (round(2.5 * RATE),)
        assert np.isfinite(samples).all()
        assert np.max(np.abs(samples)) <= 1.0 + 1e-6


def test_same_seed_same_sound():
    first, second = (make_other(1.0, RATE, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@given(st.lists(st.floats(1 - TOLERANCE, 1 + TOLERANCE), min_size=3, max_size=3))
def test_every_cadence_within_the_standards_tolerance_is_recognised_as_an_alarms(factors):
    for count, *lengths_s in (TEMPORAL_THREE, TEMPORAL_FOUR):
        on_s, off_s, pause_s = (length_s * factor for length_s, factor in zip(lengths_s, factors, strict=True))
        assert is_alarm_cadence(count, on_s, off_s, pause_s)


@pytest.mark.parametrize(
    ("count", "on_s", "off_s", "pause_s"),
    [
        (2, 0.5, 0.5, 1.5),
        (4, 0.5, 0.5, 1.5),
        (3, 0.5, 0.5, 0.5),
        (3, 0.1, 0.1, 5.0),
        (4, 0.1, 0.1, 0.6),
        (1, 0.5, 0.5, 0.5),
    ],
)
def test_other_cadences_are_not(count, on_s, off_s, pause_s):
    assert not is_alarm_cadence(count, on_s, off_s, pause_s)
