"""The bundled model finds alarms that the demo does not play, and leaves what resembles them alone."""

import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.sounds import alarm_over_noise, in_a_quiet_place, over_noise

from edgeaudio.recognise.model import load_model
from models.alarms.train.alarm_scenes import SAMPLE_RATE
from tools.synth import acoustics
from tools.synth.alarm_sounds import LABELS
from tools.synth.european_alarms import SIRENS, make_beeper, make_two_tone_siren
from tools.synth.house_beeps import HOUSE_BEEPS
from tools.synth.other_sounds import make_other
from tools.training.event_trials import onsets

MODEL = Path(__file__).parents[2] / "models" / "alarms"


@pytest.fixture(scope="module")
def model():
    return load_model(MODEL)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("label", LABELS)
def test_an_alarm_is_found_and_named(model, label, seed):
    heard = list(onsets(model, alarm_over_noise(label, np.random.default_rng((7, seed))), SAMPLE_RATE))
    assert [event.event.label for event in heard] == [label]
    assert heard[0].known_s < 10.0


EUROPEAN = {
    "steady": ("smoke_alarm", partial(make_beeper, steady=True)),
    "fast beeps": ("smoke_alarm", partial(make_beeper, steady=False)),
    **{name: ("siren", partial(make_two_tone_siren, name=name)) for name in SIRENS},
}


@pytest.mark.parametrize("name", EUROPEAN)
def test_an_alarm_of_europe_is_found_and_named(model, name):
    label, make = EUROPEAN[name]
    rng = np.random.default_rng((9, zlib.crc32(name.encode())))
    heard = list(onsets(model, in_a_quiet_place(make(10.0, SAMPLE_RATE, rng), rng), SAMPLE_RATE))
    assert [event.event.label for event in heard] == [label]


@pytest.mark.parametrize("name", ["reversing_lorry", "microwave_oven", "door_bell"])
def test_beeps_of_a_house_are_left_alone(model, name):
    for seed in range(3):
        rng = np.random.default_rng((10, seed))
        sound = HOUSE_BEEPS[name](10.0, SAMPLE_RATE, rng)
        assert not list(onsets(model, over_noise(sound, acoustics.rms(sound), rng), SAMPLE_RATE))


@pytest.mark.parametrize("kind", ["low_battery_chirp", "reversing_beeper", "alarm_clock", "music", "voice", "noise"])
def test_what_is_no_alarm_is_left_alone(model, kind):
    for seed in range(3):
        rng = np.random.default_rng((8, seed))
        sound = make_other(10.0, SAMPLE_RATE, rng, kind)
        assert not list(onsets(model, over_noise(sound, acoustics.rms(sound), rng), SAMPLE_RATE))


def test_it_is_small():
    assert (MODEL / "model.tflite").stat().st_size <= 250_000
