"""Batches drawn of recordings: their shape, their loudness, and answers that say what is in them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from tools.training.augmentation import UNHEARD_DB, Batches, Example, Recipe, mask_spectrum, place, unit_loudness
from tools.training.lessons import Lesson

FRAME_S = 0.02
N_FRAMES, N_MELS = 50, 16
CALM = Recipe(
    mixing=0,
    speed=0,
    shift_mels=0,
    repeated=0,
    room=0,
    equaliser_db=0,
    noise_snr_db=(90, 90),
    noise_slope_db=0,
    narrow=0,
    blots=0,
)


def example(n_frames, band=4, answer=(1.0, 0.0), power=1.0, **how):
    """A tone in one band."""
    values = np.zeros((n_frames, N_MELS), dtype=np.float32)
    values[:, band] = power
    return Example(values, np.array(answer, dtype=np.float32), **how)


def draw(examples, recipe, seed=0, size=8):
    return Batches(examples, N_FRAMES, FRAME_S, recipe).draw(size, np.random.default_rng(seed))


@settings(max_examples=examples(60), deadline=None)
@given(lengths=st.lists(st.integers(1, 200), min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1))
def test_any_recordings_give_clips(lengths, seed):
    values, answers = draw([example(length) for length in lengths], Recipe(), seed)
    assert values.shape == (8, N_FRAMES, N_MELS)
    assert values.dtype == answers.dtype == np.float32
    assert np.isfinite(values).all()
    assert answers.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_it_does_not_matter_how_loud_a_recording_is():
    first, _ = draw([example(200, power=1e-8)], Recipe())
    second, _ = draw([example(200, power=1e6)], Recipe())
    assert first == pytest.approx(second, abs=0.01)


def test_mixed_answers_follow_the_audible_shares():
    # the quiet recording is weighed up: a share of the label is a share of what is heard
    quiet, loud = example(200, 4, (1.0, 0.0), power=1e-4), example(200, 11, (0.0, 1.0), power=10.0)
    recipe = replace(CALM, mixing=1.0)
    values, answers = draw([quiet, loud], recipe, size=64)
    power = 10 ** (values / 10)
    amplitude = np.sqrt(power[:, :, [4, 11]].max(axis=1))
    both = (answers > 0.05).all(axis=1)
    assert both.sum() > 10
    shares = amplitude / amplitude.sum(axis=1, keepdims=True)
    assert shares[both] == pytest.approx(answers[both], abs=0.02)


@pytest.mark.parametrize("speed", [0, 0.3])
def test_a_teachers_answers_are_those_of_the_stretch_that_is_drawn(speed):
    # the loudness of a recording tells where a clip was cut: the teacher's score rises with it
    n = 500
    ramp = example(n, lesson=Lesson((np.arange(19) / 20).astype(np.float16)[:, None], 0.5, 1.0))
    ramp.power[:, 4] = np.arange(1, n + 1)
    for seed in range(20):
        power, span = place(ramp, N_FRAMES, replace(CALM, speed=speed), np.random.default_rng(seed))
        assert span == pytest.approx((power[0, 4] - 1, power[-1, 4] - 1), abs=0.01)
    _, answers = draw([ramp], CALM, size=32)
    assert answers.shape == (32, 3)
    assert len(set(answers[:, 2].tolist())) > 8, "each stretch has its own"


def test_a_teachers_answers_are_mixed_as_the_labels_are():
    first = example(200, 4, (1.0, 0.0), lesson=Lesson(np.full((8, 1), 1.0, np.float16), 0.5, 1.0))
    second = example(200, 11, (0.0, 1.0), lesson=Lesson(np.full((8, 1), 0.0, np.float16), 0.5, 1.0))
    _, answers = draw([first, second], replace(CALM, mixing=1.0), size=64)
    assert answers[:, 2] == pytest.approx(answers[:, 0], abs=1e-6)
    assert ((answers[:, 2] > 0.05) & (answers[:, 2] < 0.95)).sum() > 10


def test_every_answer_is_drawn_as_often_and_negatives_as_said():
    rare, common, nothing = example(60), example(60, 5, (0.0, 1.0)), example(60, 6, (0.0, 0.0))
    _, answers = draw([rare, *[common] * 20, *[nothing] * 50], replace(CALM, negatives=0.2), size=1000)
    assert answers.mean(axis=0) == pytest.approx([0.4, 0.4], abs=0.06)
    _, answers = draw([rare, common], CALM)
    assert (answers.sum(axis=1) == 1).all(), "there are no negatives to draw"


def test_what_is_fixed_stays_where_it_is():
    clicks = example(N_FRAMES, fixed=True)
    clicks.power[:] = 0
    clicks.power[7::13, 4] = 1
    rng = np.random.default_rng(1)
    for _ in range(10):
        placed, _ = place(clicks, N_FRAMES, Recipe(), rng)
        assert np.flatnonzero(placed.sum(axis=1)).tolist() == list(range(7, N_FRAMES, 13))


def test_most_of_a_short_sound_is_kept():
    rng = np.random.default_rng(1)
    for _ in range(50):
        placed, _ = place(example(10), N_FRAMES, CALM, rng)
        assert 8 <= np.count_nonzero(placed.sum(axis=1)) <= 10


def test_a_room_prolongs_a_sound_and_starts_it_no_earlier():
    click = example(N_FRAMES, fixed=True)
    click.power[:] = 0
    click.power[20, 4] = 1
    recipe = replace(CALM, room=1.0)
    values, _ = draw([click], recipe)
    floor_db = values[:, :20, 4].max(axis=1)
    assert (values[:, 21, 4] > floor_db + 10).all()
    assert (np.diff(values[:, 20:24, 4], axis=1) < 0).all()


def test_blots_are_the_mean_and_leave_most():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(80, 40)).astype(np.float32)
    before = values.copy()
    mask_spectrum(values, 1, rng)
    changed = values != before
    assert 0 < changed.sum() < 0.25 * values.size
    assert np.unique(values[changed]).size <= 2


def test_narrow_clips_lose_their_highest_bands_and_nothing_else():
    hiss = Example(np.ones((200, N_MELS), dtype=np.float32), np.array((1.0, 0.0), dtype=np.float32))
    recipe = replace(CALM, narrow=0.5, kept_bands=(0.5, 0.9))
    values, _ = draw([hiss], recipe, size=64)
    unheard = (values == UNHEARD_DB).all(axis=1)
    kept = N_MELS - unheard.sum(axis=1)
    narrow = kept < N_MELS
    assert 20 < narrow.sum() < 44
    assert kept[narrow].min() >= 0.5 * N_MELS
    assert kept[narrow].max() <= 0.9 * N_MELS + 1
    assert (np.diff(unheard.astype(int), axis=1) >= 0).all(), "from some band on, all of them"
    heard = np.broadcast_to(~unheard[:, None], values.shape)
    assert values[heard].min() > values[heard].max() - 1


def test_loudness_is_that_of_the_loud_part():
    bark = np.zeros((1, 100, N_MELS), dtype=np.float32)
    bark[0, :10, 3] = 4.0
    assert unit_loudness(bark)[0, :10, 3] == pytest.approx(1.0, abs=1e-6)
    assert not unit_loudness(np.zeros((1, 5, 2), np.float32)).any()
