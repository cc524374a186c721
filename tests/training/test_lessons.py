"""What a teacher hears: its clips of a recording, those that count for a stretch, and that it is asked once."""

import numpy as np
import pytest
from support.tflite import LABELS, model_directory

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import ClipSection
from edgeaudio.recognise.model import Model
from tools.training.lessons import Lesson, lessons, load_teacher

RATE, N_CLIP = 1000, 120  # each label's score is the mean of a third of the clip


@pytest.fixture
def teacher(tmp_path):
    return load_teacher(model_directory(tmp_path, clip=ClipSection(RATE, N_CLIP)))


def beginning_at(second, n=600):
    """Silence, then a level of 0.1."""
    samples = np.zeros(n, dtype=np.float32)
    samples[round(second * RATE) :] = 0.1
    return samples


def test_a_teacher_hears_every_part_at_one_level(teacher, tmp_path):
    first, second = lessons([beginning_at(0.3), 5 * beginning_at(0.3)], RATE, teacher, tmp_path)
    assert first.scores.shape == (9, len(LABELS))
    assert (first.period_s, first.clip_s) == (0.06, 0.12)
    np.testing.assert_array_equal(first.scores, second.scores)
    begins_s = 0.06 * np.arange(9)[:, None] + 0.04 * np.arange(3)
    heard = np.clip(begins_s + 0.04 - 0.3, 0, 0.04) / 0.04
    assert first.scores == pytest.approx(0.5 * heard, abs=2e-3)


@pytest.mark.parametrize("n", [0, 1, N_CLIP - 1])
def test_a_recording_that_is_shorter_than_a_clip_is_one(teacher, tmp_path, n):
    (lesson,) = lessons([np.full(n, 0.2, dtype=np.float32)], RATE, teacher, tmp_path)
    assert lesson.scores.shape == (1, len(LABELS))
    assert np.isfinite(lesson.scores).all()


def test_a_stretch_has_the_highest_of_what_lies_in_it():
    scores = np.array([[0.1], [0.2], [0.9], [0.3]], dtype=np.float16)
    lesson = Lesson(scores, 0.5, 1.0)
    assert lesson.between(0.0, 2.5) == pytest.approx([0.9], abs=1e-3)
    assert lesson.between(0.0, 1.4) == pytest.approx([0.2], abs=1e-3), "less than half of the third clip"
    assert lesson.between(0.0, 1.5) == pytest.approx([0.9], abs=1e-3)
    assert lesson.between(2.2, 2.5) == pytest.approx([0.3], abs=1e-3), "shorter than half a clip"


def test_a_teacher_is_asked_once(teacher, tmp_path, monkeypatch):
    recordings = [beginning_at(0.3), beginning_at(0.1)]
    before = lessons(recordings, RATE, teacher, tmp_path / "kept")
    monkeypatch.setattr(Model, "scores", lambda *_: pytest.fail("asked again"))
    again = lessons(recordings, RATE, teacher, tmp_path / "kept")
    for first, second in zip(before, again, strict=True):
        np.testing.assert_array_equal(first.scores, second.scores)
    with pytest.raises(pytest.fail.Exception):
        lessons(recordings[:1], RATE, teacher, tmp_path / "kept")


def test_a_model_of_features_is_no_teacher(tmp_path):
    with pytest.raises(EdgeaudioError, match="is no teacher: a teacher takes samples"):
        load_teacher(model_directory(tmp_path, "features_time_major"))
