"""Keywords in running sound: which report is that of which word, what is counted, and which threshold is chosen."""

import json

import numpy as np
import pytest

from edgeaudio.recognise.manifest import ClipSection, DetectorSection, InputSection, Manifest, Threshold
from tools.training.keyword_trials import (
    GRID,
    NEVER,
    Passage,
    Report,
    Spoken,
    Tally,
    assigned,
    judge,
    keywords_of,
    threshold_for,
    thresholds_at,
)

RATE = 8000
LABELS = ("no", "yes", "unknown", "silence")
MANIFEST = Manifest(
    name="words", version="1", labels=LABELS, sha256="0" * 64, clip=ClipSection(RATE, RATE // 2, 100),
    input=InputSection("waveform"), detector=DetectorSection(mean_of=1, refractory_s=0.3),
)  # fmt: skip
WORD_S = 0.3


class Ear:
    """Hears "no" at 1000 Hz and "yes" at 2000 Hz, in the middle of a clip, and is more certain of the louder one."""

    manifest = MANIFEST

    def scores(self, values):
        middle = values[len(values) // 2 - 400 : len(values) // 2 + 400]
        time_s = np.arange(len(middle)) / RATE
        heard = [2 * abs(np.mean(middle * np.exp(-2j * np.pi * hz * time_s))) for hz in (1000, 2000)]
        return np.array([*np.minimum(heard, 1.0), 0.0, 0.0], dtype=np.float32)


def sound(length_s, *tones):
    """Tones (from_s, Hz, amplitude) of WORD_S in faint noise."""
    samples = 0.002 * np.random.default_rng(1).standard_normal(round(length_s * RATE))
    time_s = np.arange(round(WORD_S * RATE)) / RATE
    for start_s, hz, amplitude in tones:
        start = round(start_s * RATE)
        samples[start : start + len(time_s)] += amplitude * np.sin(2 * np.pi * hz * time_s)
    return samples.astype(np.float32)


def spoken(*words):
    return tuple(Spoken(label, start_s, start_s + WORD_S) for label, start_s in words)


def test_words_in_running_sound_are_counted_and_dated():
    tones = [(1.0, 1000, 0.95), (2.0, 2000, 0.95), (3.0, 2000, 0.95), (5.0, 1000, 0.95)]
    words = spoken(("no", 1.0), ("yes", 2.0), ("no", 3.0), ("yes", 4.0))  # one is mispronounced, one is not said
    judged = judge(Ear(), [Passage("strings", sound(7, *tones), words), Passage("noise", sound(3))])
    tally = judged["strings"][GRID.index(0.8)]
    assert tally.answers.tolist() == [[1, 1, 0], [0, 1, 1]]
    assert (tally.spoken, tally.right, tally.confused, tally.missed) == (4, 2, 1, 1)
    assert tally.inserted.tolist() == [1, 0]
    assert tally.heard_s == pytest.approx(7.0)
    assert tally.inserted_per_hour == pytest.approx(3600 / 7)
    assert all(-0.2 < delay_s < 0.5 for delay_s in tally.delays_s)
    assert len(tally.delays_s) == len(tally.errors_s) == 2
    assert judged["noise"][0].inserted.sum() == 0


def test_a_threshold_decides():
    judged = judge(Ear(), [Passage("strings", sound(3, (1.0, 1000, 0.67)), spoken(("no", 1.0)))])
    assert [tally.right for tally in judged["strings"]] == [1 if on <= 0.65 else 0 for on in GRID]


def test_right_reports_are_found_first_and_each_is_that_of_one_word():
    words = spoken(("no", 0.0), ("no", 0.5), ("yes", 1.0))
    reports = [Report("no", 0.0, 0.6), Report("yes", 0.5, 0.8), Report("yes", 1.0, 1.6), Report("no", 5.0, 5.5)]
    # the second report is wrong: of "no", since "yes" has its own
    assert assigned(words, reports, clip_s=1.0) == ([0, 1, 2], [3])
    assert assigned(words, [Report("no", 0.0, 0.55), Report("no", 0.0, 0.6)], clip_s=1.0) == ([0, 1, None], [])
    assert assigned((), reports[:1], clip_s=1.0) == ([], [0])
    # before it was said, or long after
    assert assigned(spoken(("no", 1.0)), [Report("no", 0, 0.9), Report("no", 2, 2.4)], 1.0) == ([None], [0, 1])


def test_the_threshold_is_the_lowest_that_keeps_to_the_budget():
    def tallies(*counts):
        return [Tally(np.zeros((2, 3), np.int64), np.array([count, 0]), 3600.0) for count in counts]

    words = [Tally(np.ones((2, 3), np.int64), np.array([99, 0]), 3600.0) for _ in GRID]
    falling = [{"speech": tallies(*range(len(GRID), 0, -1)), "strings": words}, {"noise": tallies(*[0] * len(GRID))}]
    # two hours in all, and what is reported in strings of words does not count
    assert threshold_for(falling, 2.0) == GRID[len(GRID) - 4]
    assert threshold_for(falling, 100.0) == GRID[0]
    assert threshold_for(falling, 0.1) == GRID[-1]
    assert threshold_for([{"strings": words}], 1.0) == GRID[len(GRID) // 2], "nothing to choose it by"


def test_a_tally_outlives_json():
    tally = Tally(np.array([[3, 0, 1], [0, 2, 0]]), np.array([0, 4]), 12.5, [0.1234, 0.2], [-0.05, 0.0])
    read = Tally.from_json(json.loads(json.dumps(tally.to_json())))
    assert read.answers.tolist() == tally.answers.tolist()
    assert read.inserted.tolist() == [0, 4]
    assert (read.heard_s, read.delays_s, read.errors_s) == (12.5, [0.123, 0.2], [-0.05, 0.0])
    both = Tally.sum([tally, read])
    assert (both.spoken, both.right, both.confused, both.missed, both.heard_s) == (12, 10, 0, 2, 25.0)
    assert Tally.empty(2).inserted_per_hour == 0.0


def test_other_classes_are_never_reported():
    assert thresholds_at(0.8, LABELS) == {
        "no": Threshold(0.8, 0.4), "yes": Threshold(0.8, 0.4), "unknown": NEVER, "silence": NEVER,
    }  # fmt: skip
    assert NEVER.is_never
    assert keywords_of(MANIFEST) == ["no", "yes"]
