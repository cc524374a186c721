"""Voice activity: equal to the reference, and the same however the sound is split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.golden_speech import PROBABILITIES, SPEECH

from edgeaudio.recognise.voice_activity import BATCH, HOP_LENGTH, VoiceActivity
from edgeaudio.types import Samples


def activity(*pieces: Samples) -> Samples:
    detector = VoiceActivity()
    return np.concatenate([*(detector.feed(piece) for piece in pieces), detector.flush()])


def test_it_is_equal_to_the_reference() -> None:
    found = activity(SPEECH)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, PROBABILITIES, atol=1e-5)
    assert found.min() < 0.01  # both are in it
    assert found.max() > 0.99


@settings(max_examples=examples(25))
@given(cuts=st.lists(st.integers(0, len(SPEECH) // 8), max_size=12), end=st.integers(0, 4 * BATCH * HOP_LENGTH))
def test_how_the_sound_is_split_changes_no_bit(cuts: list[int], end: int) -> None:
    samples = SPEECH[:end]
    found = activity(*np.split(samples, sorted(min(cut, end) for cut in cuts)))
    assert len(found) == -(-end // HOP_LENGTH)
    assert found.tobytes() == activity(samples).tobytes()


def test_it_answers_batch_by_batch() -> None:
    detector = VoiceActivity()
    span = BATCH * HOP_LENGTH
    assert len(detector.feed(SPEECH[: span - 1])) == 0
    assert len(detector.feed(SPEECH[span - 1 : span])) == BATCH


@pytest.mark.parametrize("samples", [np.zeros(8192, np.float32), np.full(8192, -1.0, np.float32)], ids=["zeros", "DC"])
def test_without_sound_nobody_speaks(samples: Samples) -> None:
    assert activity(samples).max() < 0.1
