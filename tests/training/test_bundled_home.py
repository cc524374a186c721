"""The bundled household model, through the agent's own pipeline."""

from pathlib import Path

import numpy as np
import pytest
from support.sounds import alarm_over_noise

from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.recognise.model import load_model
from models.alarms.train.alarm_scenes import SAMPLE_RATE
from tools.synth.alarm_sounds import LABELS
from tools.training.clips import cut_clips
from tools.training.event_trials import onsets
from tools.training.recordings import Recording, read_audio

MODEL = Path(__file__).parents[2] / "models" / "home"
ESC10 = Path(__file__).parents[3] / "shared" / "data" / "esc10"


@pytest.fixture(scope="module")
def model():
    return load_model(MODEL)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("label", LABELS)
def test_an_alarm_is_found_and_named(model, label, seed):
    samples = alarm_over_noise(label, np.random.default_rng((7, seed)))
    assert label in [heard.event.label for heard in onsets(model, samples, SAMPLE_RATE)]


@pytest.mark.skipif(not ESC10.is_dir(), reason=f"the recordings are not here: {ESC10}")
def test_it_knows_what_it_was_trained_on_at_any_gain(model):
    paths = sorted(ESC10.rglob("*-A.ogg"))[::6]
    sample_rate = model.manifest.clip.sample_rate
    recordings = [Recording(path, path.parent.name, read_audio(path, sample_rate)) for path in paths]
    quiet = [Recording(r.path, r.label, r.samples * np.float32(0.1)) for r in recordings]
    clips, quiet_clips = cut_clips(recordings, model.manifest), cut_clips(quiet, model.manifest)
    rows, names = clips.recording_scores(np.stack([model.scores(values) for values in clips.values]))
    quiet_rows, _ = quiet_clips.recording_scores(np.stack([model.scores(values) for values in quiet_clips.values]))
    right = [model.manifest.labels[row.argmax()] == name for row, name in zip(rows, names, strict=True)]
    assert np.mean(right) > 0.95
    assert np.mean(rows.argmax(axis=1) == quiet_rows.argmax(axis=1)) > 0.95


def test_it_is_small_and_says_what_it_was_made_of():
    assert (MODEL / "model.tflite").stat().st_size <= 250_000
    manifest = read_manifest(MODEL / "model.toml")
    assert len(manifest.labels) == 14
    assert set(manifest.thresholds) == set(manifest.labels)
    assert any("ESC-10" in line for line in manifest.training_data)
