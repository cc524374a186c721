"""Thresholds for a site: what counts, the estimate beyond the sound, what is left out, what is never done unasked."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.recognise.adaptation import logit
from edgeaudio.recognise.calibration import HIGHEST_ON, LOWEST_SHARE, MOST_MARGIN, Place, SiteSound, Verdict
from edgeaudio.recognise.manifest import Threshold
from edgeaudio.types import Event, Scores

START = datetime(2026, 1, 1, tzinfo=UTC)
PERIOD_S = 30.0
CHOSEN = Threshold(0.5, 0.3)
SCORE = st.floats(0, 1)


def heard(highest, events=(), sound=None):
    """Return the sound of a recording with one score a minute, in its second half."""
    sound = SiteSound(["fan", "dog"], PERIOD_S) if sound is None else sound
    sound.begin_recording()
    for number in range(2 * len(highest)):
        at = START + timedelta(seconds=PERIOD_S * number)
        scores = Scores("porch", "home", at, PERIOD_S * number, 4.0, -20.0, np.zeros(2, np.float32))
        sound.feed(scores, {"fan": highest[number // 2] if number % 2 else 0.0, "dog": 0.0}, ())
    for begins_s, duration_s, score in events:
        at = START + timedelta(seconds=begins_s + duration_s)
        event = Event("id", "offset", "porch", "home", "fan", score, at, duration_s)
        sound.take_events([event, Event("id", "onset", "porch", "home", "fan", score, START, 0.0)])
    return sound


def test_ten_minutes_of_sound_are_heard_as_ten_minutes():
    sound = SiteSound(["fan"], 0.5)
    for _ in range(2):
        sound.begin_recording()
        for number in range(1193):  # clips of 4 s in 600 s
            at = START + timedelta(seconds=0.5 * number)
            scores = Scores("porch", "home", at, 0.5 * number, 4.0, -20.0, np.zeros(1, np.float32))
            sound.feed(scores, {"fan": 0.0}, ())
    assert sound.heard_s == 1200.0


def proposed(sound, per_day=0.5, label="fan", chosen=CHOSEN, *, every=False, lower=False, warns=False):
    return sound.propose(label, chosen, per_day, every=every, lower=lower, warns=warns)


def test_a_threshold_lies_above_what_an_hour_of_quiet_reached():
    found = proposed(heard([0.1] * 30 + [0.6] + [0.1] * 29, [(1830, 2.0, 0.6)]))
    assert (found.verdict, found.highest, found.alarms) == (Verdict.CHANGE, pytest.approx(0.6), 1)
    assert found.place == Place(0, 1830.0)
    assert found.on == 0.81  # a logit above 0.6, in whole hundredths
    # nothing of the other label, and of a high threshold, has to change
    assert proposed(heard([0.6] * 60), label="dog").verdict is Verdict.KEEP
    assert proposed(heard([0.6] * 60), chosen=Threshold(0.9, 0.5)).on == 0.9


def test_scores_that_thin_out_fast_need_a_smaller_margin():
    flat, steep = [proposed(heard([0.6 * share**n for n in range(480)])) for share in (0.9999, 0.98)]
    assert 0.6 < flat.on < steep.on <= 0.81
    # with days of sound there is no margin: what they gave is counted
    assert proposed(heard([0.6, 0.55, 0.525] + [0.1] * 2880 * 2), per_day=0.5).on == 0.53


def test_a_recording_of_its_own_has_places_of_its_own():
    sound = heard([0.2] * 30)
    assert proposed(heard([0.1] * 5 + [0.7] + [0.1] * 24, sound=sound)).place == Place(1, 330.0)
    assert sound.heard_s == 3600
    assert proposed(heard([0.0] * 30)).place is None


def test_what_may_be_real_is_told_and_left_out_unless_every_sound_counts():
    sound = heard([0.1] * 30 + [0.95] + [0.1] * 29, [(1825, 12.0, 0.95), (300, 12.0, 0.6), (600, 5.0, 0.95)])
    assert [(each.begins, each.duration_s) for each in sound.may_be_real()] == [(Place(0, 1825), 12.0)]
    left_out, all_of_it = proposed(sound), proposed(sound, every=True)
    assert (left_out.verdict, left_out.highest, left_out.alarms) == (Verdict.KEEP, pytest.approx(0.1), 2)
    assert (all_of_it.verdict, all_of_it.highest, all_of_it.alarms) == (Verdict.CHANGE, pytest.approx(0.95), 3)
    assert proposed(heard([0.95] * 60, [(0, 3600.0, 0.95)])).verdict is Verdict.REAL


def test_a_threshold_is_lowered_only_if_asked_and_by_half_at_most():
    quiet = heard([0.1] * 60)
    assert proposed(quiet).on == 0.5
    assert proposed(quiet, lower=True).on == 0.26
    assert proposed(heard([0.2] * 60), lower=True).on == 0.27
    assert proposed(quiet, lower=True, warns=True).on == 0.5
    assert proposed(heard([0.42] * 60), lower=True).verdict is Verdict.CHANGE  # a higher one is needed


def test_what_warns_of_danger_or_cannot_be_told_apart_is_said():
    loud = heard([0.7] * 60)
    assert (proposed(loud, warns=True).verdict, proposed(loud, warns=True).on) == (Verdict.WARNING, 0.5)
    assert proposed(loud, warns=True, every=True).verdict is Verdict.CHANGE
    assert (proposed(heard([0.996] * 60)).verdict, proposed(heard([0.996] * 60)).on) == (Verdict.ALIKE, 0.5)
    assert proposed(loud, chosen=Threshold(1, 1)).verdict is Verdict.KEEP  # never an event
    highest = Threshold(HIGHEST_ON, 0.6)
    assert proposed(heard([0.992] + [0.1] * 59), chosen=highest).verdict is Verdict.ALIKE  # it rings, and cannot rise
    assert proposed(heard([0.98] * 60), chosen=highest).verdict is Verdict.KEEP
    assert proposed(heard([0.992] + [0.1] * 59), 100, chosen=highest).verdict is Verdict.KEEP  # one in an hour may be


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(SCORE, min_size=20, max_size=120), st.floats(0.01, 0.99), st.floats(0.01, 1000), st.booleans())
def test_it_gives_no_more_alarms_than_wanted_in_the_same_sound(highest, on, per_day, lower):
    sound, chosen = heard(highest), Threshold(on, on / 2)
    found = proposed(sound, per_day, chosen=chosen, lower=lower)
    if found.verdict is not Verdict.ALIKE and found.on < HIGHEST_ON:
        allowed = per_day * len(highest) / 1440
        assert sum(float(np.float32(score)) >= found.on for score in highest) <= allowed
    assert found.on >= on * LOWEST_SHARE if lower else found.on >= on
    assert proposed(sound, per_day * 2, chosen=chosen, lower=lower).on <= found.on
    if found.on > on:
        assert logit(found.on - 0.01) <= logit(max(highest)) + MOST_MARGIN + 1e-6
