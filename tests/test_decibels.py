"""Levels in dBFS."""

from __future__ import annotations

import numpy as np
import pytest

from edgeaudio.decibels import LEAST_POWER, dbfs, loudest_channel_dbfs, rms_dbfs

SINE = np.sin(2 * np.pi * np.arange(16_000) / 16).astype(np.float32)
SILENCE = np.zeros(10, np.float32)
NOTHING = np.zeros(0, np.float32)


def test_a_power_of_1_is_full_scale():
    assert dbfs(1.0) == 0.0
    assert dbfs(0.1) == pytest.approx(-10)


def test_digital_silence_and_the_rounding_of_a_mean_have_no_level():
    assert dbfs(0.0) is None
    assert dbfs(LEAST_POWER) is None
    for level in (rms_dbfs, loudest_channel_dbfs):
        assert level(SILENCE) is None
        assert level(NOTHING) is None


def test_the_level_of_a_clip_includes_its_dc():
    assert rms_dbfs(np.ones(7, dtype=np.float32)) == 0.0


def test_the_loudest_channel_counts_without_its_dc():
    assert loudest_channel_dbfs(SINE + 0.5) == pytest.approx(-3.01, abs=0.01)
    assert loudest_channel_dbfs(np.stack([SINE / 2, SINE], axis=1)) == pytest.approx(-3.01, abs=0.01)
