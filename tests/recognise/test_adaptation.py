"""Thresholds that rise while a sound goes on: when, how far, until when; and what is reported meanwhile."""

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.recognise.adaptation import (
    BOUND,
    NONE_YET,
    RETURN_WINDOW,
    WINDOW,
    Adaptation,
    LabelAdaptation,
    logit,
    sigmoid,
)
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.detector import Detector, DetectorConfig
from edgeaudio.recognise.manifest import FILE_NAME, DetectorSection, EntitySection, Manifest, Threshold
from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.recognise.pipeline import SourcePipeline
from edgeaudio.types import Scores

START = datetime(2026, 1, 1, tzinfo=UTC)
GIVEN = Threshold(0.5, 0.3)
SCORE = st.floats(0, 1)


def after(minutes, chosen=GIVEN, label=None, first=1):
    """Return the raised thresholds after each of the minutes, whose highest scores are given."""
    label = LabelAdaptation() if label is None else label
    found = []
    for number, highest in enumerate(minutes, first):
        label.minute(number, highest, chosen)
        found.append(label.threshold)
    return found


def test_a_sound_that_goes_on_raises_its_threshold_after_an_hour():
    found = after([0.6] * WINDOW)
    assert found.index(next(filter(None, found))) == 60
    assert (found[-1].on, found[-1].off) == pytest.approx((0.712, 0.658), abs=0.001)


@pytest.mark.parametrize("every", [1, 5])
def test_a_sound_that_flickers_raises_it_too(every):
    assert after([0.6 if number % every == 0 else 0.1 for number in range(WINDOW)])[-1] is not None


@pytest.mark.parametrize(
    "minutes",
    [
        [0.6 if number % 6 == 0 else 0.1 for number in range(10 * WINDOW)],  # too seldom
        [0.6] * 50 + [0.1] * WINDOW,  # not for an hour
        [0.45] * WINDOW,  # no event
        [0.9] * WINDOW,  # the model is sure
        [0.6 if number % 5 else 0.95 for number in range(WINDOW)],  # it often is
    ],
)
def test_other_sounds_leave_the_threshold_alone(minutes):
    assert after(minutes) == [None] * len(minutes)


def test_a_few_real_events_do_not_keep_it_from_rising_nor_raise_it_further():
    assert after([0.6 if number % 30 else 0.99 for number in range(WINDOW)])[-1] == after([0.6] * WINDOW)[-1]


def test_a_sound_that_grows_louder_raises_it_again_until_the_bound():
    found = after([0.6] * WINDOW + [0.7] * WINDOW + [0.95] * WINDOW)
    assert found[2 * WINDOW - 1].on == pytest.approx(0.794, abs=0.001)
    assert found[-1] == found[2 * WINDOW - 1]  # what is above the bound is reported


def test_it_comes_back_when_the_sound_has_ended():
    found = after([0.6] * WINDOW + [0.1] * 5 + [0.6] + [0.1] * RETURN_WINDOW)
    # one more minute of it does not count, as of a real event
    assert found.index(None, WINDOW) == WINDOW + RETURN_WINDOW - 1


@pytest.mark.parametrize("moved", [Threshold(0.8, 0.4), Threshold(0.1, 0.05), Threshold(1, 1)])
def test_a_threshold_that_is_moved_out_of_its_reach_takes_its_place(moved):
    label = LabelAdaptation()
    after([0.6] * WINDOW, label=label)
    assert after([0.6], moved, label, WINDOW + 1) == [None]


def test_under_another_threshold_the_former_minutes_count_if_they_reach_it():
    label = LabelAdaptation()
    after([0.6] * WINDOW, label=label)
    assert after([0.6], Threshold(0.55, 0.3), label, WINDOW + 1) == after([0.6] * WINDOW)[-1:]
    found = after([0.75] * 62, Threshold(0.65, 0.3), label, WINDOW + 2)
    assert found[:61] == [None] * 61
    assert found[61] is not None


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(SCORE, st.integers(1, 60)), max_size=12), st.floats(0, 1), st.floats(0, 1))
def test_it_is_never_under_the_given_one_bounded_monotone_and_returns(stretches, on, ratio):
    chosen = Threshold(on, on * ratio)
    minutes = [score for score, length in stretches for _ in range(length)]
    label = LabelAdaptation()
    found = after(minutes, chosen, label)
    for before, now in zip([None, *found], found, strict=False):
        if now is None:
            continue
        assert chosen.on <= now.on <= max(chosen.on, sigmoid(logit(chosen.on) + BOUND))
        assert chosen.off <= now.off <= now.on
        assert before is None or now.on >= before.on
    if on > 0:
        assert after([0.0] * RETURN_WINDOW, chosen, label, len(minutes) + 1)[-1] is None


def test_minutes_are_counted_in_clips_and_what_has_risen_is_dated():
    adaptation = Adaptation(["fan"], period_s=20.0)
    chosen = {"fan": GIVEN, "dog": GIVEN}
    for clip in range(3 * WINDOW):
        if clip % 3 == 1:
            adaptation.highest["fan"] = 0.6
        ended = adaptation.end_clip()
        assert ended == (clip % 3 == 2)
        if ended:
            adaptation.end_minute(chosen, START + timedelta(seconds=20 * clip))
            assert adaptation.highest == {"fan": NONE_YET}
    assert set(adaptation.raised) == {"fan"}
    raised = adaptation.raised["fan"]
    assert (raised.given, raised.since) == (GIVEN, START + timedelta(seconds=20 * (3 * 61 - 1)))
    adaptation.forget("dog")  # may not be raised
    assert set(adaptation.raised) == {"fan"}
    adaptation.forget("fan")
    assert adaptation.raised == {}


PERIOD_S = 30.0


def detector(adapted=frozenset({"fan"}), on=0.5, **section):
    rules = DetectorSection(on=on, off=on * 0.6, **section)
    return Detector(DetectorConfig(("fan", "dog"), rules, {}, PERIOD_S, adapted=adapted), UUID(int=0))


def hours(chosen, n_hours, fan, begin_h=0):
    """Feed hours of clips with one score of the fan each, or those of a list in turn; return the events."""
    fan = fan if isinstance(fan, list) else [fan]
    events = []
    for number in range(round(begin_h * 120), round((begin_h + n_hours) * 120)):
        values = np.array([fan[number % len(fan)], 0.0], np.float32)
        at = START + timedelta(seconds=PERIOD_S * number)
        events += chosen.feed(Scores("porch", "home", at, PERIOD_S * number, 4.0, -20.0, values))
    return [(event.kind, round(event.score, 2)) for event in events]


def test_an_event_that_does_not_end_ends_and_a_real_one_is_found_in_the_sound():
    chosen = detector()
    assert hours(chosen, 2, 0.6) == [("onset", 0.6), ("offset", 0.6)]
    assert chosen.active == []
    assert chosen.raised()["fan"].threshold.on == pytest.approx(0.712, abs=0.001)
    assert chosen.thresholds() == {"fan": GIVEN, "dog": GIVEN}  # those that were chosen
    assert hours(chosen, 1, [0.6, 0.65], 2) == []
    assert hours(chosen, 1 / 60, 0.9, 3) == [("onset", 0.9)]
    assert hours(chosen, 1 / 60, 0.6, 3 + 1 / 60) == [("offset", 0.9)]
    assert hours(chosen, 0.6, 0.0, 3.1) == []
    assert chosen.raised() == {}
    assert hours(chosen, 1 / 60, 0.6, 4) == [("onset", 0.6)]


def test_an_event_that_only_its_lower_threshold_keeps_open_ends_too():
    assert hours(detector(), 2, [0.6] + [0.4] * 1000) == [("onset", 0.6), ("offset", 0.6)]


def test_a_flood_of_events_ends():
    events = hours(detector(), 1, [0.6, 0.0])
    assert len(events) == 2 * 60
    chosen = detector()
    hours(chosen, 1.1, [0.6, 0.0])
    assert hours(chosen, 2, [0.6, 0.0], 1.1) == []


def test_scores_without_enough_votes_raise_nothing():
    chosen = detector(votes=2, votes_of=3)
    hours(chosen, 3, [0.6, 0.0, 0.0])
    assert chosen.raised() == {}
    assert chosen.reached() == {"fan": 0.0, "dog": 0.0}
    hours(chosen, 3, [0.6, 0.0], 3)
    assert set(chosen.raised()) == {"fan"}


class Noted(Adaptation):
    """Notes what each minute is judged by."""

    def __init__(self):
        super().__init__(["fan"], PERIOD_S)
        self.judged = []

    def end_minute(self, given, at):
        self.judged.append(self.highest["fan"])
        super().end_minute(given, at)


@settings(max_examples=examples(50))
@given(
    fan=st.lists(st.sampled_from([0.0, 0.1, 0.4, 0.55, 0.6]), max_size=40),
    votes=st.sampled_from([(1, 1), (1, 3), (2, 3), (3, 3)]),
    reconnections=st.sets(st.integers(0, 40)),
)
def test_of_each_minute_what_the_highest_of_its_clips_reached_counts(fan, votes, reconnections):
    chosen = detector(votes=votes[0], votes_of=votes[1], hold_s=60.0)
    chosen._adaptation = Noted()
    found = []
    for number, score in enumerate(fan):
        hours(chosen, 1 / 120, score, number / 120)
        reached = chosen.reached()["fan"]
        found.append(max(reached, GIVEN.on) if chosen.active and reached >= GIVEN.off else reached)
        if number in reconnections:
            chosen.end()
    assert chosen._adaptation.judged == [max(found[clip - 1], found[clip]) for clip in range(1, len(found), 2)]


def test_it_costs_no_call_for_a_label_in_a_clip_that_does_not_count():
    def calls(adapted):
        labels = tuple(map(str, range(100)))
        config = DetectorConfig(labels, DetectorSection(), {}, 1.0, adapted=frozenset(labels if adapted else ()))
        chosen = Detector(config, UUID(int=0))
        counted: list[str] = []
        for number in range(3):
            values = np.full(100, 0.3 - 0.1 * number, np.float32)
            counted.clear()
            sys.setprofile(lambda _, event, __: counted.append(event) if event.endswith("call") else None)
            chosen.feed(Scores("porch", "home", START, float(number), 4.0, -20.0, values))
            sys.setprofile(None)
        return len(counted)

    assert calls(adapted=True) - calls(adapted=False) < 10


@pytest.mark.parametrize("kept_out", [{"adapted": frozenset()}, {"refractory_s": 1.0}])
def test_labels_that_are_exempt_and_moments_keep_their_thresholds(kept_out):
    chosen = detector(**kept_out)
    hours(chosen, 3, 0.6)
    assert chosen.raised() == {}


def test_it_outlives_a_reconnection_a_failure_and_a_reload_but_no_command():
    chosen = detector()
    hours(chosen, 2, 0.6)
    raised = chosen.raised()
    chosen.end()
    chosen = chosen.renewed()
    chosen.replace_thresholds({}, frozenset({"fan"}))
    assert chosen.raised() == raised
    assert hours(chosen, 0.1, 0.6, 2) == []
    chosen.set_threshold("fan", 0.55)
    chosen.withdraw_raised("fan")
    assert hours(chosen, 0.1, 0.6, 2.1) == [("onset", 0.6)]
    hours(chosen, 2, 0.6, 2.2)
    assert chosen.raised()
    chosen.replace_thresholds({}, frozenset())
    assert chosen.raised() == {}
    chosen.withdraw_raised("fan")  # nothing has risen


def test_labels_that_warn_of_danger_are_exempt_and_so_are_their_groups(home_manifest):
    assert home_manifest.warnings == {"smoke_alarm", "co_alarm"}
    grouped = replace(
        home_manifest,
        groups={"any alarm": ("smoke_alarm", "siren"), "animal": ("dog_bark",)},
        entities={**home_manifest.entities, "animal": EntitySection(device_class="safety")},
    )
    assert grouped.warnings == {"smoke_alarm", "co_alarm", "any alarm", "animal"}


@pytest.fixture
def home_manifest() -> Manifest:
    return read_manifest(find_model("home") / FILE_NAME)


def test_of_several_models_the_highest_is_told_and_all_are_withdrawn():
    pipeline = SourcePipeline("porch", [], namespace=UUID(int=0))
    pipeline._detectors = [detector(on=on) for on in (0.5, 0.55, 0.4)]
    for each, score in zip(pipeline._detectors, (0.6, 0.65, 0.5), strict=True):
        hours(each, 2, score)
    highest = max(each.raised()["fan"].threshold.on for each in pipeline._detectors)
    assert pipeline.raised()["fan"].threshold.on == highest
    pipeline.withdraw_raised("fan")
    assert pipeline.raised() == {}
