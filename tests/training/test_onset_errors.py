"""What the tool that measures dates counts, and what the document says was measured."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from support.tflite import WAVEFORM, manifest_of

from edgeaudio.recognise.manifest import DetectorSection
from edgeaudio.types import POWER_STEP_S, Scores
from tools.maintenance.onset_errors import Miss, misses_of, table
from tools.training.event_trials import START, Target, Trial

CLIP_S, PERIOD_S, SOUND_S = 4.0, 0.5, (7.3, 8.0)
ARCHITECTURE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()


def manifest():
    detector = DetectorSection(on=0.5, off=0.3, votes=2, votes_of=3, hold_s=2.0)
    return manifest_of("waveform", clip=replace(WAVEFORM, period_ms=round(PERIOD_S * 1000)), detector=detector)


def trial():
    """A sound that is loud, and clips that know it once they hold some of it."""
    powers = np.full(3000, 1e-6, dtype=np.float32)
    powers[round(SOUND_S[0] / POWER_STEP_S) : round(SOUND_S[1] / POWER_STEP_S)] = 1e-2
    clips = []
    for number in range(40):
        start_s = number * PERIOD_S
        heard = min(1.0, max(0.0, min(SOUND_S[1], start_s + CLIP_S) - max(SOUND_S[0], start_s)) / 0.3)
        held = powers[round(start_s / POWER_STEP_S) :][: round(CLIP_S / POWER_STEP_S)]
        at = START + timedelta(seconds=start_s)
        scores = np.array([0, heard, 0], dtype=np.float32)
        clips.append(Scores("s", "test", at, start_s, CLIP_S, -20.0, scores, held))
    return Trial(1, "scenes", frozenset({"second"}), Target("second", 20, *SOUND_S), 20.0, clips)


def test_dates_are_compared_with_the_truth_and_with_the_middles_of_clips():
    onset, offset = misses_of(trial(), manifest(), "20 dB")
    assert (onset.kind, offset.kind) == ("onset", "offset")
    assert max(abs(onset.now_s), abs(offset.now_s)) < 0.02
    # clip 8, from 4 to 8 s, completes the votes; and clip 15, from 7.5 to 11.5 s, is the last that votes
    assert onset.by_middle_s == pytest.approx(6.0 - 0.25 - 7.3)
    assert offset.by_middle_s == pytest.approx(9.5 + 0.5 + 0.25 - 8.0)


def test_a_recording_may_begin_shortly_before_the_sound():
    onset, _ = misses_of(trial(), manifest(), "begins late", lead_s=1.2)
    assert abs(onset.now_s) < 0.02


def test_a_table_has_a_row_for_each_kind_of_scene():
    misses = [
        Miss("20 dB", "onset", 0.1, -1.0, 0.2),
        Miss("20 dB", "offset", 0.3, 1.0, 0.2),
        Miss("5 dB", "onset", -0.5, 2.0, 0.2),
        Miss("begins late", "onset", 3.0, 1.0, 4.0),
    ]
    assert table("home", misses) == [
        "| home | 20 dB | 1 | 1.00 s | 0.10 s | 0.10 s | 100% | 1 | 1.00 s | 0.30 s | 0.30 s | 0% |",
        "| home | 5 dB | 1 | 2.00 s | 0.50 s | 0.50 s | 0% |  |  |  |  |  |",
        "| home | **all of these** | 2 | 1.50 s | 0.30 s | 0.46 s | 50% | 1 | 1.00 s | 0.30 s | 0.30 s | 0% |",
        "| home | begins late | 1 | 1.00 s | 3.00 s | 3.00 s | 100% |  |  |  |  |  |",
    ]


def test_the_document_has_both_models_and_a_median_of_a_third_at_most():
    rows = re.findall(r"\| (\w+) \| \*\*all of these\*\* \| (.*) \|", ARCHITECTURE)
    assert {model for model, _ in rows} == {"home", "alarms"}
    for _, cells in rows:
        figures = cells.replace(" s", "").split(" | ")
        for before, now in (figures[1:3], figures[6:8]):
            assert float(now) <= float(before) / 3
