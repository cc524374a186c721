"""Thresholds keep the precision asked for, and differences over the limit are told."""

import numpy as np
import pytest

from edgeaudio.recognise.manifest import DetectorSection
from tools.training.comparison import LabelledClips, calibrate, compare, too_different
from tools.training.model_card import replace_section

LABELS = ("dog", "rain")


def clips_of(labels, clips_each=2):
    owners = np.repeat(np.arange(len(labels)), clips_each)
    return LabelledClips([np.zeros(1, dtype=np.float32)] * len(owners), owners, tuple(labels))


def test_threshold_keeps_the_precision():
    clips = clips_of(["dog"] * 4 + ["rain"] * 4, clips_each=1)
    dog = [0.9, 0.8, 0.7, 0.5, 0.6, 0.2, 0.1, 0.1]
    scores = np.stack([dog, [0.0] * 4 + [0.9] * 4], axis=1).astype(np.float32)
    strict, _ = calibrate(scores, clips, LABELS, DetectorSection(), 0.99)
    assert strict["dog"].on == pytest.approx(0.65)  # over the rain's 0.6: three of four dogs are found
    lenient, lines = calibrate(scores, clips, LABELS, DetectorSection(), 0.8)
    assert lenient["dog"].on == pytest.approx(0.35)  # the rain's 0.6 is one of five
    assert lenient["dog"].off < lenient["dog"].on
    assert "| dog | 0.350 | 0.210 | 4 | 80.0% | 100.0% |" in lines


def test_a_recording_is_found_by_its_best_clip():
    clips = clips_of(["dog", "rain"])
    scores = np.array([[0.1, 0.0], [0.9, 0.0], [0.2, 0.8], [0.1, 0.7]], dtype=np.float32)
    thresholds, lines = calibrate(scores, clips, LABELS, DetectorSection(), 0.95)
    assert thresholds["dog"].on == pytest.approx(0.55)
    assert "| dog | 0.550 | 0.330 | 1 | 100.0% | 100.0% |" in lines


def test_a_recording_counts_only_if_the_detector_would_report_it():
    clips = clips_of(["dog", "rain"], clips_each=4)
    dog = [0.2, 0.8, 0.7, 0.1, 0.9, 0.1, 0.1, 0.1]  # the rain's 0.9 stands alone
    scores = np.stack([dog, [0.0] * 8], axis=1).astype(np.float32)
    rows, names = clips.detectable(scores, DetectorSection(votes=2, votes_of=3))
    assert names == ("dog", "rain")
    np.testing.assert_allclose(rows[:, 0], [0.7, 0.1])
    rows, _ = clips.detectable(scores, DetectorSection(mean_of=2))
    np.testing.assert_allclose(rows[:, 0], [0.75, 0.9])


def test_a_label_without_recordings_keeps_its_threshold():
    thresholds, lines = calibrate(
        np.zeros((1, 2), dtype=np.float32), clips_of(["rain"], 1), LABELS, DetectorSection(), 0.95
    )
    assert "dog" not in thresholds
    assert "| dog | draft's | draft's | 0 | - | - |" in lines


def test_agreement_and_accuracy_are_counted():
    clips = clips_of(["dog", "rain", "wind"], clips_each=1)
    wanted = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.5]], dtype=np.float32)
    got = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.5]], dtype=np.float32)
    text = " ".join(compare(wanted, got, clips, LABELS))
    assert "agrees on 66.67% of the 3 clips" in text
    assert "over the 2 recordings" in text
    assert "100.00% before, 50.00% after" in text


def test_limits():
    zeros = np.zeros((10, 2), dtype=np.float32)
    one_off = zeros.copy()
    one_off[0, 0] = 0.3
    assert too_different(zeros, one_off, largest=0.5, mean=0.1) == ""
    assert "differs by 0.300" in too_different(zeros, one_off, largest=0.2, mean=0.1)
    assert "0.0150 from Keras's in the mean" in too_different(zeros, one_off, largest=0.5, mean=0.01)


def test_a_section_is_replaced_and_its_neighbours_stay(tmp_path):
    card = tmp_path / "README.md"
    card.write_text("# m\n\n## A\n\none\n\n## Evaluation\n\nold\n\n## B\n\ntwo\n")
    replace_section(card, "Evaluation", ["new", "figures"])
    assert card.read_text() == "# m\n\n## A\n\none\n\n## Evaluation\n\nnew\nfigures\n\n## B\n\ntwo\n"


def test_a_section_that_is_not_there_is_added(tmp_path):
    card = tmp_path / "README.md"
    card.write_text("# m\n")
    replace_section(card, "Evaluation", ["new"])
    assert card.read_text() == "# m\n\n## Evaluation\n\nnew\n"
