"""Gain for voice activity: quiet sound becomes loud enough, loud sound stays as it is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.golden_speech import SPEECH

from edgeaudio.recognise.speech_gain import HIGH_DBFS, LOW_DBFS, MOST_DB, SpeechGain
from edgeaudio.types import Samples

BATCH = 4096
NOISE = np.random.default_rng(1).standard_normal(40 * BATCH).astype(np.float32)


def amplified(*pieces: Samples) -> Samples:
    gain = SpeechGain()
    return np.concatenate([*map(gain.feed, pieces), gain.flush()])


def level_dbfs(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def at(level: float, n: int = 40 * BATCH) -> Samples:
    return NOISE[:n] * np.float32(10 ** (level / 20))


@pytest.mark.parametrize("level", [-30.0, -20.0])
def test_sound_loud_enough_is_unchanged(level: float) -> None:
    assert np.array_equal(amplified(at(level)), at(level))


@pytest.mark.parametrize("level", [-70.0, -60.0, -50.0, -40.0])
def test_quiet_sound_reaches_the_range_at_once(level: float) -> None:
    wanted = max(LOW_DBFS, level)
    for batch in amplified(at(level)).reshape(-1, BATCH):
        assert level_dbfs(batch) == pytest.approx(wanted, abs=0.5)


def test_near_silence_is_amplified_up_to_a_limit() -> None:
    assert level_dbfs(amplified(at(-90.0))) == pytest.approx(-90 + MOST_DB, abs=0.1)
    assert not amplified(np.zeros(10_000, np.float32)).any()


def test_loud_sound_after_quiet_sound_is_not_clipped_for_long() -> None:
    batches = amplified(at(-70.0, 10 * BATCH), at(-20.0, 10 * BATCH)).reshape(-1, BATCH)
    assert level_dbfs(batches[9]) == pytest.approx(LOW_DBFS, abs=0.5)
    assert level_dbfs(batches[11]) == pytest.approx(HIGH_DBFS, abs=0.5)
    assert np.abs(batches).max() <= 1.0


def test_after_loud_sound_the_gain_rises_by_a_decibel_a_second() -> None:
    batches = amplified(at(-20.0, 4 * BATCH), at(-60.0)).reshape(-1, BATCH)
    assert level_dbfs(batches[4]) == pytest.approx(-60, abs=0.5)
    gains_db = [level_dbfs(batch) + 60 for batch in batches[4:]]
    assert max(gains_db) <= 0.5  # after 10 s the level is held to be -30 dBFS


def test_the_gain_rises_and_falls_without_steps() -> None:
    square = np.full(30 * BATCH, 0.001, np.float32)
    square[10 * BATCH :] = 0.0012
    square[20 * BATCH :] = 0.02
    square[::2] *= -1
    gains = amplified(square) / square
    assert np.abs(np.diff(gains)).max() < 0.02


@pytest.mark.parametrize("dc", [0.003, -0.03, 0.3])
def test_dc_is_no_level_and_is_not_amplified(dc: float) -> None:
    batches = amplified(at(-50.0) + np.float32(dc)).reshape(-1, BATCH)
    assert np.abs(batches).max() < 0.2
    for batch in batches:
        assert level_dbfs(batch) == pytest.approx(LOW_DBFS, abs=0.5)


def test_dc_that_changes_is_followed_without_steps() -> None:
    dc = np.repeat(np.array([0.0, 0.01], np.float32), 80 * BATCH)
    sound = amplified(np.tile(at(-50.0), 4) + dc)
    assert level_dbfs(sound[-40 * BATCH :]) < HIGH_DBFS
    assert abs(float(sound[-BATCH:].mean())) < 0.001
    quiet = np.full(10 * BATCH, 0.001, np.float32)
    assert not amplified(quiet).any()


@settings(max_examples=examples(20))
@given(st.lists(st.integers(0, 40_000), max_size=10), st.sampled_from([0.0, 0.02]))
def test_how_the_sound_is_split_changes_no_bit(lengths: list[int], dc: float) -> None:
    quiet = SPEECH * np.float32(0.003) + np.float32(dc)
    edges = np.minimum(np.cumsum([0, *lengths, len(quiet)]), len(quiet))
    pieces = [quiet[begin:end] for begin, end in pairwise(edges)]
    assert amplified(*pieces).tobytes() == amplified(quiet).tobytes()
    assert len(amplified(*pieces)) == len(quiet)
