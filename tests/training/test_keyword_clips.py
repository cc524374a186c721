"""Clips of words: the answer is the word in the middle of the clip, and a clip with a word elsewhere has none."""

from dataclasses import replace

import numpy as np
import pytest

from tools.training.keyword_clips import FAR_S, NEAR_S, RECIPE, KeywordBatches, Word, heard

FRAME_S = 0.02
N_FRAMES, N_MELS = 50, 40
LABELS = ("no", "yes", "unknown", "silence")
BANDS = {"no": 5, "yes": 15, "unknown": 25}
WORD_FRAMES = 11
BACKGROUND_BAND = 35
CALM = replace(
    RECIPE, speed=0, shift_mels=0, room=0, equaliser_db=0, noise_snr_db=(90.0, 90.0), noise_slope_db=0, narrow=0,
    blots=0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_warp(monkeypatch):
    monkeypatch.setattr("tools.training.keyword_clips.WARP", 0.0)


def word(label, *, is_synthetic=False, n_frames=WORD_FRAMES):
    """A tone in the band of its label."""
    power = np.zeros((n_frames, N_MELS), dtype=np.float32)
    power[:, BANDS[label]] = 1.0
    return Word(power, label, is_synthetic)


def draw(words, size=400, backgrounds=(), recipe=CALM, seed=0):
    source = KeywordBatches(words, backgrounds, LABELS, N_FRAMES, FRAME_S, recipe)
    values, answers = source.draw(size, np.random.default_rng(seed))
    assert values.shape == (size, N_FRAMES, N_MELS)
    assert values.dtype == answers.dtype == np.float32
    assert np.isfinite(values).all()
    assert set(answers.sum(axis=1)) == {1.0}
    return values, answers.argmax(axis=1)


def middles_s(clip, label):
    """Middles of the stretches in which a label's band sounds, from the middle of the clip; None: it is cut off."""
    sounding = np.concatenate([[False], clip[:, BANDS[label]] > -40, [False]])
    edges = np.flatnonzero(sounding[1:] != sounding[:-1]).reshape(-1, 2)
    return [((first + last) / 2 - N_FRAMES / 2) * FRAME_S for first, last in edges if first > 0 and last < N_FRAMES]


def test_every_class_is_drawn():
    _, answers = draw([word(label) for label in BANDS])
    shares = np.bincount(answers, minlength=4) / len(answers)
    assert shares == pytest.approx([0.25, 0.25, 0.37, 0.13], abs=0.07)


def test_a_keyword_is_the_answer_where_its_middle_is_near_that_of_the_clip(monkeypatch):
    monkeypatch.setattr("tools.training.keyword_clips.NEIGHBOUR_SHARE", 0.0)
    values, answers = draw([word("no"), word("yes")])
    for label in ("no", "yes"):
        for clip in values[answers == LABELS.index(label)]:
            (middle_s,) = middles_s(clip, label)
            assert abs(middle_s) <= NEAR_S + FRAME_S


def test_with_neighbours_it_is_the_word_in_the_middle_that_counts():
    values, answers = draw([word("no"), word("yes")])
    with_both = 0
    for label, other in (("no", "yes"), ("yes", "no")):
        for clip in values[answers == LABELS.index(label)]:
            assert (clip[N_FRAMES // 2 - 4 : N_FRAMES // 2 + 4, BANDS[label]] > -40).any()
            with_both += bool((clip[:, BANDS[other]] > -40).any())
    assert with_both > 50


def test_unknown_speech_has_no_keyword_near_the_middle():
    values, answers = draw([word("no"), word("yes")], size=800)
    found = 0
    for clip in values[answers == LABELS.index("unknown")]:
        for label in ("no", "yes"):
            for middle_s in middles_s(clip, label):
                found += 1
                # two of the same word can touch, and are then one stretch
                assert abs(middle_s) >= FAR_S - FRAME_S or (clip[:, BANDS[label]] > -40).sum() > WORD_FRAMES
    assert found > 50


def test_silence_has_no_speech_and_is_made_of_the_backgrounds():
    background = np.zeros((20, N_MELS), dtype=np.float32)
    background[:, BACKGROUND_BAND] = 3.0
    values, answers = draw([word(label) for label in BANDS], backgrounds=[background])
    quiet = values[answers == LABELS.index("silence")]
    assert (quiet[:, :, BACKGROUND_BAND] > -1).all(), "shorter than a clip, it goes on"
    assert (quiet[:, :, list(BANDS.values())] < -40).all()
    loud = values[answers < 2][:, :, BACKGROUND_BAND].max(axis=1) > -40
    assert 0.4 < loud.mean() < 0.8, "speech has it behind it, mostly"


def test_what_people_said_is_drawn_more_often_than_what_voices_did():
    synthetic = replace(word("no"), is_synthetic=True)
    synthetic.power[:, BANDS["unknown"]] = 1.0
    values, answers = draw([word("no"), *[synthetic] * 30, word("yes")])
    made = values[answers == 0][:, N_FRAMES // 2, BANDS["unknown"]] > -40
    assert 0.2 < made.mean() < 0.5


def test_sentences_are_cut():
    values, answers = draw([word("no"), word("yes"), word("unknown", n_frames=400)])
    spoken = values[answers == 2][:, :, BANDS["unknown"]] > -40
    assert 0.3 < (spoken.mean(axis=1) > 0.85).mean() < 0.8


def test_any_recipe_gives_clips():
    draw([word(label) for label in BANDS], recipe=replace(RECIPE, narrow=0.5), size=64)


def test_a_word_is_what_is_heard_of_a_recording():
    power = np.full((40, N_MELS), 1e-7, dtype=np.float32)
    power[12:20, 3] = 5.0
    assert heard(power).shape == (8, N_MELS)
    assert heard(power).sum(axis=1).max() == pytest.approx(1.0, abs=1e-4)
    assert not heard(np.zeros((5, N_MELS), np.float32)).any()
