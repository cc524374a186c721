"""Sirens of two tones keep their country's tones and tempo; beepers without a cadence are told from other beeps."""

import numpy as np
import pytest

from tools.synth.alarm_sounds import active_rms, make_alarm
from tools.synth.european_alarms import BEEPER_HZ, SIRENS, is_beeper, make_beeper, make_two_tone_siren
from tools.synth.other_sounds import make_other

RATE = 16_000
# fundamentals in Hz and the seconds of both tones together, from the texts named in the module
PRESCRIBED = {
    "french_police": (435, 580, 1.0, 1.2),
    "french_gendarmerie": (435, 732, 1.0, 1.2),
    "french_ambulance": (435, 651, 1.0, 1.2),
    "french_fire_brigade": (435, 488, 2.0, 2.4),
    "italian": (392, 660, 0.6, 1.2),
}


def pitches_hz(samples, low_hz, high_hz):
    """The stronger of two tones, within 6 % of each, every 10 ms."""
    size, hop = round(0.06 * RATE), RATE // 100
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, RATE, axis=1)) ** 2
    frequency_hz = np.arange(power.shape[1])
    near = [np.abs(frequency_hz / hz - 1) < 0.06 for hz in (low_hz, high_hz)]
    best = [np.where(n, power, 0).argmax(axis=1) for n in near]
    is_high = power[:, near[1]].max(axis=1) > power[:, near[0]].max(axis=1)
    return np.where(is_high, best[1], best[0]), is_high


@pytest.mark.parametrize("name", PRESCRIBED)
def test_a_siren_has_its_countrys_tones_and_tempo(name, monkeypatch):
    monkeypatch.setattr("tools.synth.european_alarms.passing", lambda time_s, rng: np.ones_like(time_s))
    low_hz, high_hz, shortest_s, longest_s = PRESCRIBED[name]
    for seed in range(2):
        siren = make_two_tone_siren(8.0, RATE, np.random.default_rng(seed), name)
        pitch_hz, is_high = pitches_hz(siren.samples, low_hz, high_hz)
        assert np.median(pitch_hz[~is_high]) == pytest.approx(low_hz, rel=0.055)
        assert np.median(pitch_hz[is_high]) == pytest.approx(high_hz, rel=0.055)
        rises = np.flatnonzero(np.diff(is_high.astype(int)) == 1) / 100
        assert shortest_s * 0.97 <= np.median(np.diff(rises)) <= longest_s * 1.03


def test_the_german_siren_is_a_fourth():
    siren = SIRENS["german"]
    assert siren.low_hz[1] * siren.ratio[1] <= 630
    assert siren.ratio == (4 / 3, 4 / 3)
    assert siren.cycle_s == (1.25, 1.75)


@pytest.mark.parametrize("name", [*SIRENS, None])
def test_a_siren_is_unit_level_made_again_and_told_after_two_seconds(name):
    first, second = (make_two_tone_siren(5.0, RATE, np.random.default_rng(5), name) for _ in range(2))
    np.testing.assert_array_equal(first.samples, second.samples)
    assert first.samples.dtype == np.float32
    assert first.label == "siren"
    assert active_rms(first.samples, first.pulses, RATE) == pytest.approx(1.0, abs=1e-4)
    assert [first.evidence(at, at + 4.0) for at in (-4.0, -3.0, -2.0, 0.5)] == [False, None, True, True]


@pytest.mark.parametrize("steady", [True, False])
def test_a_beeper_is_told_by_two_seconds_of_it(steady):
    for seed in range(5):
        alarm = make_beeper(9.0, RATE, np.random.default_rng(seed), steady=steady)
        assert alarm.label == "smoke_alarm"
        assert alarm.samples.dtype == np.float32
        assert len(alarm.samples) >= 9 * RATE
        assert active_rms(alarm.samples, alarm.pulses, RATE) == pytest.approx(1.0, abs=1e-4)
        assert (len(alarm.pulses) == 1) == steady
        assert alarm.evidence(-4.0, 0.0) is False
        assert alarm.evidence(-3.0, 1.0) is None
        assert alarm.evidence(-1.0, 3.0) is True
        pitch_hz = float(np.argmax(np.abs(np.fft.rfft(alarm.samples[:RATE], RATE))))
        assert BEEPER_HZ[0] * 0.99 <= pitch_hz <= min(BEEPER_HZ[1], 3500) * 1.01
        for start_s, stop_s in alarm.pulses if not steady else ():
            assert is_beeper(pitch_hz, stop_s - start_s, alarm.pulses[1][0] - alarm.pulses[0][1])


def test_no_alarm_with_a_cadence_and_no_lorry_is_a_beeper():
    for seed in range(5):
        alarm = make_alarm("smoke_alarm", 5.0, RATE, np.random.default_rng(seed))
        assert not is_beeper(3100, alarm.pulses[0][1], alarm.pulses[1][0] - alarm.pulses[0][1])
    assert is_beeper(3100, 4.0, 0.0)
    assert not is_beeper(1250, 4.0, 0.0)
    assert not is_beeper(1250, 0.5, 0.5)
    assert not is_beeper(3100, 0.5, 0.5)
    assert not is_beeper(3100, 0.1, 1.5), "a fridge"


def test_no_tone_among_the_negatives_sounds_as_a_beeper_does():
    for seed in range(40):
        samples = make_other(4.0, RATE, np.random.default_rng(seed), "tone")
        power = np.abs(np.fft.rfft(samples)) ** 2
        assert not is_beeper(np.argmax(power) / 4.0, 4.0, 0.0)
