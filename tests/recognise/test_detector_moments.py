"""Events with a refractory time, such as spoken words: an example of each rule, and invariants for any scores."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from edgeaudio.recognise.detector import Detector, DetectorConfig
from edgeaudio.recognise.manifest import DetectorSection, Threshold
from edgeaudio.types import Scores

START = datetime(2026, 1, 1, tzinfo=UTC)
PERIOD_S, CLIP_S = 0.1, 1.0


def detector(labels=("yes",), thresholds=None, groups=frozenset(), refractory_s=0.3, **section):
    rules = DetectorSection(refractory_s=refractory_s, **section)
    return Detector(DetectorConfig(tuple(labels), rules, thresholds or {}, PERIOD_S, groups=groups), UUID(int=0))


def scores_of(number, *values):
    return Scores(
        source="porch",
        model="words",
        at=START + timedelta(seconds=number * PERIOD_S),
        offset_s=number * PERIOD_S,
        duration_s=CLIP_S,
        rms_dbfs=-20.0,
        values=None if values == (None,) else np.array(values, dtype=np.float32),
    )


def run(chosen, *rows):
    """Return number of the clip, kind and label of each event."""
    return [
        (number, event.kind, event.label)
        for number, row in enumerate(rows)
        for event in chosen.feed(scores_of(number, *np.atleast_1d(row).tolist()))
    ]


def test_a_word_is_one_event_that_lasts_for_the_refractory_time_whatever_the_scores_do():
    assert run(detector(), 0, 0.9, 0, 0, 0, 0) == [(1, "onset", "yes"), (4, "offset", "yes")]
    assert run(detector(), 0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9) == [(1, "onset", "yes"), (4, "offset", "yes")]


def test_the_time_is_that_of_the_sound_where_clips_still_grow():
    """A stateful model's first clips begin with the signal, so that their middles move at half the speed."""
    chosen, events = detector(), []
    for number, score in enumerate([0, 0.9, 0, 0, 0, 0, 0, 0, 0]):
        clip = replace(scores_of(0, score), duration_s=(number + 1) * PERIOD_S)
        events += [(number, event.kind) for event in chosen.feed(clip)]
    assert events == [(1, "onset"), (4, "offset")]


def test_the_next_event_needs_a_score_under_the_off_threshold_first():
    # the second time the score does not fall far enough
    assert run(detector(on=0.8, off=0.4), 0.9, 0.9, 0.9, 0.9, 0.5, 0.9, 0.3, 0.9) == [
        (0, "onset", "yes"),
        (3, "offset", "yes"),
        (7, "onset", "yes"),
    ]


def test_a_word_that_is_said_twice_within_the_time_is_heard_twice_once_it_is_over():
    # it falls and rises again before the first event is over
    assert run(detector(), 0.9, 0.1, 0.9, 0.9, 0.9) == [(0, "onset", "yes"), (3, "offset", "yes"), (4, "onset", "yes")]


def test_no_other_word_begins_meanwhile():
    rows = [(0.9, 0), (0.1, 0.9), (0, 0.9), (0, 0.9), (0, 0.9), (0, 0)]
    assert run(detector(("yes", "no")), *rows) == [(0, "onset", "yes"), (3, "offset", "yes"), (4, "onset", "no")]


def test_of_two_words_in_one_clip_the_more_certain_one_is_taken():
    assert run(detector(("yes", "no")), (0.6, 0.8), (0, 0), (0, 0), (0, 0)) == [(0, "onset", "no"), (3, "offset", "no")]


def test_a_group_has_its_event_beside_that_of_its_word():
    chosen = detector(("yes", "no", "any"), groups=frozenset({"any"}))
    rows = [(0.9, 0, 0.9), (0, 0.9, 0.9), (0, 0, 0), (0, 0, 0)]
    assert sorted(run(chosen, *rows)) == [
        (0, "onset", "any"),
        (0, "onset", "yes"),
        (3, "offset", "any"),
        (3, "offset", "yes"),
    ]


def test_means_and_votes_hold_for_words_too():
    assert run(detector(mean_of=2), 0.9, 0.05, 0.9, 0.3) == [(3, "onset", "yes")]
    assert run(detector(votes=2, votes_of=3), 0.9, 0, 0, 0.9, 0, 0.9) == [(5, "onset", "yes")]


def test_what_is_never_a_word_is_none():
    chosen = detector(("yes", "unknown"), {"unknown": Threshold(1.0, 1.0)})
    assert run(chosen, (0.0, 1.0), (0.0, 1.0), (0.6, 0.4)) == [(2, "onset", "yes")]


def test_a_clip_below_the_gate_counts_as_scores_of_0():
    chosen = detector()
    events = run(chosen, 0.9)
    for number in (1, 2, 3):
        events += [(number, event.kind, event.label) for event in chosen.feed(scores_of(number, None))]
    assert events == [(0, "onset", "yes"), (3, "offset", "yes")]


def test_the_end_of_an_epoch_ends_the_word_and_forgets_that_it_was_said():
    chosen = detector()
    (onset,) = chosen.feed(scores_of(0, 0.9))
    assert [(event.kind, event.id) for event in chosen.end()] == [("offset", onset.id)]
    assert [event.kind for event in chosen.feed(scores_of(0, 0.9))] == ["onset"]


VALUES = st.lists(st.tuples(*[st.sampled_from([0.0, 0.4, 0.6, 0.9, 1.0])] * 3), max_size=40)


@settings(max_examples=examples(200), deadline=None)
@given(
    rows=VALUES,
    refractory_s=st.sampled_from([0.05, 0.1, 0.3, 1.0]),
    mean_of=st.integers(1, 3),
    votes=st.integers(1, 3),
    levels=st.none() | st.integers(0, 9),
)
def test_invariants_hold_for_any_scores(rows, refractory_s, mean_of, votes, levels):
    chosen = detector(("a", "b", "c"), refractory_s=refractory_s, mean_of=mean_of, votes=votes, votes_of=3)
    limits_s = {"onset": chosen.onset_delay_s(CLIP_S), "offset": chosen.offset_delay_s(CLIP_S)}
    rng = np.random.default_rng(levels)
    told = []
    for number, row in enumerate(rows):
        powers = None if levels is None else (10 ** rng.uniform(-9, 0, 100)).astype(np.float32)
        for event in chosen.feed(replace(scores_of(number, *row), powers=powers)):
            assert number * PERIOD_S + CLIP_S - event.offset_s <= limits_s[event.kind] + 1e-9
            told.append((number, event))
    assert len(chosen.active) <= 1, "one mouth says one word at a time"
    told += [(len(rows), event) for event in chosen.end()]
    assert [event.kind for _, event in told] == ["onset", "offset"] * (len(told) // 2)
    for (began, onset), (ended, offset) in zip(told[::2], told[1::2], strict=True):
        assert onset.id == offset.id
        assert 0 < onset.duration_s <= offset.duration_s
        assert offset.at - onset.at == timedelta(seconds=offset.duration_s)
        assert onset.score <= offset.score
        assert ended == len(rows) or (ended - began) * PERIOD_S >= refractory_s - 1e-6
        assert ended == len(rows) or (ended - began - 1) * PERIOD_S < refractory_s - 1e-6
