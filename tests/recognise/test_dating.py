"""Dating of a sound: from scores alone, from scores and levels, at an epoch's edges, and mirrored."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.recognise.dating import ClipScore, Date, beginning, end
from edgeaudio.types import POWER_STEP_S

CLIP_S, PERIOD_S = 4.0, 0.5
STEPS = round(CLIP_S / POWER_STEP_S)
SUSPICION = 0.05
QUIET, LOUD = 1e-5, 1e-3


def looks_at(scores, powers=None):
    """Return a clip for each period of a signal with these powers."""
    found = []
    for number, score in enumerate(scores):
        start = round(number * PERIOD_S / POWER_STEP_S)
        held = None if powers is None else np.array(powers[start : start + STEPS], dtype=np.float32)
        found.append(ClipScore(number * PERIOD_S, CLIP_S, score, held))
    return found


def signal(*spans, until_s=30.0, loud=LOUD):
    """Return powers of noise that is loud within the spans, in seconds."""
    rng = np.random.default_rng(1)
    powers = np.full(round(until_s / POWER_STEP_S), QUIET)
    for start_s, stop_s in spans:
        powers[round(start_s / POWER_STEP_S) : round(stop_s / POWER_STEP_S)] = loud
    return powers * rng.uniform(0.8, 1.2, len(powers))


def scores_of(*span, count=30, needed_s=0.6):
    """Return scores of a model that is sure after a certain length of a sound."""
    starts_s = np.arange(count) * PERIOD_S
    heard_s = np.clip(np.minimum(span[1], starts_s + CLIP_S) - np.maximum(span[0], starts_s), 0, None)
    return np.minimum(1.0, heard_s / needed_s).tolist()


def first_of(scores):
    return next(index for index, score in enumerate(scores) if score >= 0.5)


def last_of(scores):
    return len(scores) - 1 - first_of(scores[::-1])


@pytest.mark.parametrize("span", [(6.0, 6.4), (6.3, 9.0), (7.21, 14.0)])
def test_a_sound_is_dated_by_the_rise_and_fall_of_its_level(span):
    scores = scores_of(*span)
    looks = looks_at(scores, signal(span))
    began = beginning(looks, first_of(scores), SUSPICION, whole=True)
    ended = end(looks, last_of(scores), SUSPICION, whole=True)
    assert (began.offset_s, ended.offset_s) == pytest.approx(span, abs=0.03)
    assert began.error_s == pytest.approx(0.1, abs=0.1)
    assert ended.error_s == pytest.approx(0.1, abs=0.1)


def test_without_a_rise_the_middle_of_the_stretch_is_taken():
    scores = [0, 0, 0.05, 0.6, 1, 1]
    for powers in (None, signal()):
        # the clip that ends at 5 s is the last that shows nothing: the sound began within half a clip before that
        assert beginning(looks_at(scores, powers), 3, SUSPICION, whole=True) == Date(4.0, 1.0)
        assert end(looks_at(scores[::-1], powers), 2, SUSPICION, whole=True) == Date(2.5 - 1.0 + 1.0, 1.0)


def test_a_stream_that_fades_in_is_no_beginning():
    """An encoder's first packets are silent; a first clip with a low score holds the sound at its end."""
    powers = signal((3.2, 9.0))
    powers[:16] = 1e-12
    looks = looks_at([0.08, 0.4, 0.9, 1, 1, 1], powers)
    assert beginning(looks, 2, SUSPICION, whole=True).offset_s == pytest.approx(3.2, abs=0.03)
    mirrored = looks_at([1, 1, 1, 0.9, 0.4, 0.08], np.append(signal((0.0, 3.3), until_s=6.3), np.full(20, 1e-12)))
    assert end(mirrored, 3, SUSPICION, whole=True).offset_s == pytest.approx(3.3, abs=0.03)


def test_a_rise_that_is_too_old_or_too_new_is_another_sounds():
    scores = scores_of(8.0, 12.0)
    first = first_of(scores)
    looks = looks_at(scores, signal((5.2, 5.4), (8.0, 12.0), loud=LOUD))
    assert beginning(looks, first, SUSPICION, whole=True).offset_s == pytest.approx(8.0, abs=0.03)
    looks = looks_at(scores, signal((8.0, 8.3)) + signal((8.6, 12.0), loud=100 * LOUD))
    assert beginning(looks, first, SUSPICION, whole=True).offset_s == pytest.approx(8.0, abs=0.03)


def test_the_first_of_pulses_is_the_beginning_and_the_error_covers_the_others():
    pulses = [(6.0, 6.5), (7.0, 7.5), (8.0, 8.5)]
    scores = [0.0] * 7 + [0.2, 0.4, 0.9]
    began = beginning(looks_at(scores, signal(*pulses)), 9, SUSPICION, whole=True)
    assert began.offset_s == pytest.approx(6.0, abs=0.05)
    assert began.error_s == pytest.approx(1.0, abs=0.05)


def test_a_sound_in_the_first_clip_may_be_anywhere_in_it_or_older():
    bark = looks_at([1, 0.9, 0.0], signal((0.0, 0.4)))
    assert beginning(bark, 0, SUSPICION, whole=True).offset_s == 0.0
    late = looks_at([1, 1, 1], signal((2.5, 3.0)))
    assert beginning(late, 0, SUSPICION, whole=True).offset_s == pytest.approx(2.5, abs=0.03)
    throughout = looks_at([1, 1, 1], signal((0.0, 30.0)))
    assert beginning(throughout, 0, SUSPICION, whole=True) == Date(0.0, CLIP_S / 2)
    # a truncated history does not show that nothing came before
    assert beginning(throughout, 0, SUSPICION, whole=False) == Date(3.0, 1.0)


def test_a_sound_that_lasts_to_the_end_of_the_epoch_ends_there():
    looks = looks_at([0, 0, 0, 1, 1], signal((6.0, 30.0)))
    ended = end(looks, 4, SUSPICION, whole=True)
    assert ended == Date(6.0, CLIP_S / 2)


def test_without_a_low_score_the_lowest_precedes_the_sound():
    scores = [0.4, 0.3, 0.1, 0.6, 0.9, 1.0]
    looks = looks_at(scores)
    assert beginning(looks, 4, SUSPICION, whole=False) == beginning(looks_at(scores)[2:], 2, SUSPICION, whole=False)
    assert beginning(looks, 4, SUSPICION, whole=False).offset_s == pytest.approx(5.0 - 1.0, abs=0.1)


def test_clips_shorter_than_a_rise_are_dated_by_their_scores():
    looks = [
        ClipScore(number * 0.05, 0.08, score, np.full(8, LOUD, np.float32)) for number, score in enumerate((0, 0, 1))
    ]
    assert beginning(looks, 2, SUSPICION, whole=True).error_s == pytest.approx(0.02)


@settings(max_examples=examples(100))
@given(
    onset_s=st.floats(4.5, 8.0),
    lasts_s=st.floats(0.3, 8.0),
    needed_s=st.floats(0.05, 1.8),
    loud=st.floats(4e-5, 1.0),
)
def test_dates_lie_within_the_clips_and_near_the_sound(onset_s, lasts_s, needed_s, loud):
    span = (onset_s, onset_s + lasts_s)
    scores = scores_of(*span, needed_s=min(needed_s, lasts_s))
    looks = looks_at(scores, signal(span, loud=loud))
    first, last = first_of(scores), last_of(scores)
    began = beginning(looks, first, SUSPICION, whole=True)
    ended = end(looks, last, SUSPICION, whole=True)
    # fewer than EDGE steps of a clip are not compared
    assert abs(began.offset_s - span[0]) < 0.08
    assert abs(ended.offset_s - span[1]) < 0.08
    assert looks[0].start_s <= began.offset_s <= looks[first].stop_s
    assert all(a.start_s < b.start_s for a, b in pairwise(looks))
