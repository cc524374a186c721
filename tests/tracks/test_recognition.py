"""What of a track may leave: parts between forbidden stretches, and nothing that some score is missing for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.tracks.recognition import Recognition
from edgeaudio.tracks.track import Track
from edgeaudio.types import Block, ModelInfo, Scores

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATE = 1000
INFO = ModelInfo(("dog", "speech"), "0" * 64, 1.0, 1.0, 0.5, {"home": ("dog", "speech")})


def block(number: int, epoch: int = 0) -> Block:
    return Block("porch", epoch, number * RATE, AT + timedelta(seconds=number), RATE, np.zeros(RATE, np.float32))


def scores(begin_s: float, speech: float = 0.0, *, epoch: int = 0, info: ModelInfo = INFO) -> Scores:
    values = np.array([0.9, speech], np.float32)
    return Scores("porch", "home", AT, begin_s, 1.0, -20.0, values, epoch=epoch, info=info)


def track(seconds: int = 10) -> Track:
    made = Track(block(0))
    for number in range(1, seconds):
        made.add(block(number))
    return made


def judged(*items: Scores, seconds: int = 10) -> Recognition:
    recognition = Recognition(track(seconds), {"speech": 0.2})
    for each in items:
        assert recognition.add(each)
    return recognition


def test_what_may_leave_is_between_what_may_not() -> None:
    times = [number / 2 for number in range(18)]
    recognition = judged(*(scores(at_s, 0.5 if at_s in {3.0, 3.5, 6.0} else 0.0) for at_s in times))
    assert recognition.judged_until() == 8500
    assert list(recognition.allowed(0, 8500)) == [(0, 3000), (4500, 6000), (7000, 8500)]
    assert list(recognition.allowed(3200, 6500)) == [(4500, 6000)]
    assert list(recognition.allowed(3200, 4000)) == []
    assert list(recognition.allowed(500, 500)) == []
    assert list(recognition.allowed(500, 900)) == [(500, 900)]


@pytest.mark.parametrize("score", [0.2, 1.0, float("nan")])
def test_a_score_that_is_not_under_the_limit_forbids(score: float) -> None:
    recognition = judged(scores(0.0), scores(0.5, score), scores(1.0))
    assert list(recognition.allowed(0, 2000)) == [(0, 500), (1500, 2000)]


def test_a_clip_whose_scores_are_missing_forbids_all_that_it_may_have_held() -> None:
    recognition = judged(scores(0.0), scores(0.5), scores(1.5), scores(2.0))
    assert list(recognition.allowed(0, 2000)) == [(0, 500)]
    assert list(recognition.allowed(2000, 4000)) == [(2500, 4000)]


def test_a_reconnection_is_no_missing_clip() -> None:
    made = track(2)
    recognition = Recognition(made, {"speech": 0.2})
    for number in range(2):
        made.add(block(number, epoch=1))
    for each in (scores(0.0), scores(0.5), scores(1.0), scores(0.0, epoch=1), scores(0.5, epoch=1)):
        assert recognition.add(each)
    assert list(recognition.allowed(0, 4000)) == [(0, 4000)]


@given(st.integers(0, 4000), st.integers(0, 4000))
def test_the_blocks_of_a_stretch_are_its_samples_at_their_time(begin: int, end: int) -> None:
    made = Track(Block("porch", 0, 0, AT, RATE, np.arange(1700, dtype=np.float32)))
    made.add(Block("porch", 0, 1700, AT + timedelta(seconds=1.7), RATE, np.arange(1700, 4000, dtype=np.float32)))
    found = list(made.blocks(begin, end))
    assert [int(sample) for each in found for sample in each.samples] == list(range(begin, end))
    for each in found:
        assert each.offset == each.samples[0]
        assert each.at == AT + timedelta(milliseconds=each.offset)
