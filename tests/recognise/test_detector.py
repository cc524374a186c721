"""From scores to events: an example of each rule, and invariants for any scores and settings."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.recognise.detector import Detector, DetectorConfig
from edgeaudio.recognise.manifest import DetectorSection, Threshold
from edgeaudio.types import Scores

START = datetime(2026, 1, 1, tzinfo=UTC)
PERIOD_S, CLIP_S = 0.5, 2.0
NAMESPACE = UUID(int=0)


def detector(labels=("dog",), thresholds=None, reported=frozenset(), **section):
    config = DetectorConfig(tuple(labels), DetectorSection(**section), thresholds or {}, PERIOD_S, reported)
    return Detector(config, NAMESPACE)


def scores_of(number, *values, source="porch"):
    return Scores(
        source=source,
        model="home",
        at=START + timedelta(seconds=number * PERIOD_S),
        offset_s=number * PERIOD_S,
        duration_s=CLIP_S,
        rms_dbfs=-20.0,
        values=None if values == (None,) else np.array(values, dtype=np.float32),
    )


def run(chosen, *scores):
    """Return events as (clip number, kind, seconds since START, duration, score) for one label."""
    events = []
    for number, score in enumerate(scores):
        for event in chosen.feed(scores_of(number, score)):
            at_s = (event.at - START).total_seconds()
            events.append((number, event.kind, round(at_s, 3), round(event.duration_s, 3), round(event.score, 3)))
    return events


def test_an_event_begins_at_on_and_ends_under_off():
    # a clip that ends at 2.05 s would have had a score of 0.05; the beginning is half a second before that
    assert run(detector(on=0.5, off=0.3), 0, 0.5, 0.9, 0.3, 0.29, 0) == [
        (1, "onset", 1.55, 0.5, 0.5),
        (4, "offset", 2.5, 0.95, 0.9),
    ]
    # later clips show the end of the sound
    assert run(detector(on=0.5, off=0.3, hold_s=1.0), 0, 0.5, 0.9, 0.3, 0.29, 0) == [
        (1, "onset", 1.55, 0.5, 0.5),
        (5, "offset", 2.914, 1.364, 0.9),
    ]


def test_onset_and_offset_share_an_id_that_no_other_event_has():
    chosen = detector()
    events = [event for number, score in enumerate([1, 0, 1, 0]) for event in chosen.feed(scores_of(number, score))]
    assert [event.kind for event in events] == ["onset", "offset"] * 2
    assert events[0].id == events[1].id != events[2].id == events[3].id
    assert {(event.source, event.model, event.label) for event in events} == {("porch", "home", "dog")}


def test_the_same_sound_of_another_source_has_another_id():
    first, again, other = (detector().feed(scores_of(0, 1, source=name))[0] for name in ("porch", "porch", "barn"))
    assert first.id == again.id != other.id


def test_scores_are_averaged_over_the_last_clips():
    events = run(detector(mean_of=3, on=0.5, off=0.3), 0, 0, 0.9, 0.6, 0.3, 0, 0)
    assert events == [(3, "onset", 2.028, 0.5, 0.5), (6, "offset", 3.0, 0.972, 0.6)]


def test_an_event_needs_its_votes():
    events = run(detector(votes=2, votes_of=3, on=0.5, off=0.5), 0.9, 0, 0, 0.8, 0, 0.7, 0, 0, 0)
    # from the first clip that votes to the last
    assert events == [(5, "onset", 2.531, 0.5, 0.7), (6, "offset", 3.464, 0.933, 0.7)]


def test_a_sound_below_the_minimum_duration_is_no_event():
    chosen = detector(min_duration_s=1.5)
    assert run(chosen, 1, 1, 0, 1, 1, 1, 0) == [(5, "onset", 2.525, 1.5, 1), (6, "offset", 4.025, 1.5, 1)]


def test_the_hold_bridges_short_lapses():
    events = run(detector(hold_s=1.0), 0, 1, 0, 1, 0, 0, 0)
    assert events == [(1, "onset", 1.525, 0.5, 1), (5, "offset", 2.475, 0.95, 1)]


def test_no_event_begins_within_the_cool_down():
    """A sound that outlasts the cool-down is reported then, with its true beginning."""
    events = run(detector(cooldown_s=2.0), 0, 1, 0, 0, 1, 1, 0)
    assert events == [
        (1, "onset", 1.525, 0.5, 1),
        (2, "offset", 2.025, 0.5, 1),
        (5, "onset", 3.025, 1.0, 1),
        (6, "offset", 4.025, 1.0, 1),
    ]


def test_a_clip_below_the_gate_counts_as_scores_of_0():
    assert [event[:2] for event in run(detector(), 1, None, 1)] == [(0, "onset"), (1, "offset"), (2, "onset")]


def test_labels_have_events_of_their_own():
    chosen = detector(("dog", "siren", "glass"), {"siren": Threshold(0.9, 0.8)}, reported=frozenset({"dog", "siren"}))
    events = chosen.feed(scores_of(0, 0.6, 0.6, 1.0))
    assert [(event.label, event.kind) for event in events] == [("dog", "onset")]
    events = chosen.feed(scores_of(1, 0.1, 0.95, 1.0))
    assert [(event.label, event.kind) for event in events] == [("dog", "offset"), ("siren", "onset")]
    assert [event.label for event in chosen.active] == ["siren"]
    assert chosen.thresholds() == {"dog": Threshold(0.5, 0.3), "siren": Threshold(0.9, 0.8)}


def test_the_end_of_an_epoch_ends_its_events():
    chosen = detector(("dog", "siren"), mean_of=2, cooldown_s=60)
    chosen.feed(scores_of(0, 1.0, 0.0))
    (onset,) = chosen.active
    (offset,) = chosen.end()
    # the sound may last from the beginning of the only clip to its end
    assert (offset.kind, offset.id, offset.duration_s) == ("offset", onset.id, 2.0)
    assert (onset.at, onset.at_error_s, offset.at_error_s) == (START, 1.0, 1.0)
    assert not chosen.active
    assert not chosen.end()
    # nothing is kept: neither scores for the mean nor the cool-down
    assert chosen.feed(scores_of(0, 0.5, 0.0)) == []
    assert [event.kind for event in chosen.feed(scores_of(1, 0.6, 0.0))] == ["onset"]


def test_one_spike_after_a_reconnection_is_no_mean_of_several():
    chosen = detector(("dog", "siren"), mean_of=3)
    assert chosen.feed(scores_of(0, 1.0, 0.0)) == []
    assert chosen.feed(scores_of(1, 0.0, 0.0)) == []


def test_a_step_of_the_clock_does_not_stretch_an_event():
    chosen = detector()
    (onset,) = chosen.feed(scores_of(0, 1))
    late = scores_of(1, 0)
    (offset,) = chosen.feed(
        Scores(**{name: getattr(late, name) for name in late.__slots__} | {"at": START.replace(year=2030)})
    )
    assert offset.at - onset.at == timedelta(seconds=offset.duration_s) == timedelta(seconds=0.975)


def test_a_threshold_keeps_its_hysteresis_when_it_moves():
    chosen = detector(on=0.5, off=0.25)
    chosen.set_threshold("dog", 0.8)
    assert chosen.thresholds() == {"dog": Threshold(0.8, 0.4)}
    assert [event[:2] for event in run(chosen, 0.79, 0.8, 0.4, 0.39)] == [(1, "onset"), (3, "offset")]


def test_a_threshold_of_one_is_never_even_at_a_score_of_one():
    chosen = detector(on=1.0, off=0.5)
    assert run(chosen, 1.0, 1.0, 1.0) == []
    chosen.set_threshold("dog", 0.9)
    assert [kind for _, kind, *_ in run(chosen, 1.0)] == ["onset"]
    # an open event ends as before
    chosen.set_threshold("dog", 1.0)
    assert [kind for _, kind, *_ in run(chosen, 1.0, 0.0)] == ["offset"]


def test_a_threshold_of_zero_can_be_raised_again():
    chosen = detector(on=0.5, off=0.25)
    chosen.set_threshold("dog", 0.0)
    assert chosen.thresholds() == {"dog": Threshold(0.0, 0.0)}
    chosen.set_threshold("dog", 0.8)
    assert chosen.thresholds() == {"dog": Threshold(0.8, 0.4)}


def test_a_threshold_moved_from_zero_has_no_hysteresis():
    chosen = detector(on=0.0, off=0.0)
    chosen.set_threshold("dog", 0.5)
    assert chosen.thresholds() == {"dog": Threshold(0.5, 0.5)}


def test_replaced_thresholds_apply_to_open_events():
    chosen = detector(("dog", "siren"), on=0.5, off=0.4)
    chosen.feed(scores_of(0, 0.6, 0.6))
    chosen.replace_thresholds({"dog": Threshold(0.9, 0.7), "unheard of": Threshold(1, 1)}, frozenset())
    assert chosen.thresholds() == {"dog": Threshold(0.9, 0.7), "siren": Threshold(0.5, 0.4)}
    assert [(event.label, event.kind) for event in chosen.feed(scores_of(1, 0.6, 0.6))] == [("dog", "offset")]


@st.composite
def sections(draw):
    off, on = sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1))))
    votes_of = draw(st.integers(1, 4))
    seconds = st.sampled_from([0.0, 0.3, 0.5, 1.0, 2.5])
    return {
        "on": on,
        "off": off,
        "mean_of": draw(st.integers(1, 4)),
        "votes": draw(st.integers(1, votes_of)),
        "votes_of": votes_of,
        "min_duration_s": draw(seconds),
        "hold_s": draw(seconds),
        "cooldown_s": draw(seconds),
    }


VALUES = st.lists(st.none() | st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]) | st.floats(0, 1, width=32), max_size=40)


@settings(max_examples=examples(300))
@given(section=sections(), values=VALUES, levels=st.none() | st.integers(0, 9))
def test_invariants_hold_for_any_scores(section, values, levels):
    chosen = detector(**section)
    told, last_s = [], {}
    rng = np.random.default_rng(levels)
    for number, value in enumerate(values):
        powers = None if levels is None else (10 ** rng.uniform(-9, 0, 200)).astype(np.float32)
        for event in chosen.feed(replace(scores_of(number, value), powers=powers)):
            told.append((number, event))
            last_s[event.id] = chosen._labels["dog"].last_s  # middle of the last clip that counted for an event's end
    still = bool(chosen.active)
    told += [(len(values), event) for event in chosen.end()]
    # onsets and offsets alternate, and every onset has an offset
    assert [event.kind for _, event in told] == ["onset", "offset"] * (len(told) // 2)
    assert still == (bool(told) and told[-1][0] == len(values))
    previous = None
    for (began, onset), (ended, offset) in zip(told[::2], told[1::2], strict=True):
        assert onset.id == offset.id
        assert 0 < onset.duration_s <= offset.duration_s
        assert offset.at - onset.at == timedelta(seconds=offset.duration_s)
        assert 0 <= onset.at_error_s <= CLIP_S
        assert 0 <= offset.at_error_s <= CLIP_S
        assert onset.duration_s >= section["min_duration_s"]
        assert section["on"] <= onset.score <= offset.score <= 1 or section["votes"] < section["votes_of"]
        # the sound lies within the clips that counted
        assert START <= onset.at <= START + timedelta(seconds=began * PERIOD_S + CLIP_S)
        if previous is not None:
            assert previous.at <= onset.at
            assert began * PERIOD_S + CLIP_S / 2 - last_s[previous.id] >= section["cooldown_s"] - 1e-6
        if ended < len(values):
            assert ended * PERIOD_S + CLIP_S / 2 - last_s[offset.id] >= section["hold_s"] - 1e-6
        previous = offset


@given(VALUES)
def test_plain_thresholds_equal_a_plain_loop(values):
    """Without smoothing, votes or times, an event is a run of clips above the thresholds."""
    expected, sounding = [], False
    for number, value in enumerate(values):
        score = float(np.float32(value or 0.0))
        if not sounding and score >= 0.5:
            expected.append((number, "onset"))
            sounding = True
        elif sounding and score < 0.3:
            expected.append((number, "offset"))
            sounding = False
    assert [event[:2] for event in run(detector(), *values)] == expected


@pytest.mark.parametrize("at_once", [1, 3])
def test_labels_are_independent(at_once):
    rng = np.random.default_rng(3)
    table = rng.uniform(0, 1, (60, at_once)).astype(np.float32)
    together = detector([f"l{i}" for i in range(at_once)], mean_of=2, hold_s=1)
    alone = [detector([f"l{i}"], mean_of=2, hold_s=1) for i in range(at_once)]
    for number, row in enumerate(table):
        expected = [event for i, one in enumerate(alone) for event in one.feed(scores_of(number, row[i]))]
        assert together.feed(scores_of(number, *row)) == expected


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([0.0, 1.0, 3.0]),
    st.sampled_from([0.0, 0.7, 2.0]),
    st.sampled_from([0.0, 1.5, 4.0]),
)
def test_no_event_is_reported_later_than_the_delays_say(scores, votes, mean_of, hold_s, min_duration_s, cooldown_s):
    chosen = detector(
        on=0.5,
        off=0.3,
        votes=votes,
        votes_of=4,
        mean_of=mean_of,
        hold_s=hold_s,
        min_duration_s=min_duration_s,
        cooldown_s=cooldown_s,
    )
    limits_s = {"onset": chosen.onset_delay_s(CLIP_S), "offset": chosen.offset_delay_s(CLIP_S)}
    for number, score in enumerate(scores):
        for event in chosen.feed(scores_of(number, score)):
            assert number * PERIOD_S + CLIP_S - event.offset_s <= limits_s[event.kind] + 1e-9
            assert (event.threshold, event.off_threshold) == (0.5, 0.3)
    for event in chosen.end():
        assert (len(scores) - 1) * PERIOD_S + CLIP_S - event.offset_s <= limits_s["offset"] + 1e-9
