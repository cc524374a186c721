"""Synthesised alarms keep the standards' cadences, and say when they can be told from other beeps."""

import numpy as np
import pytest

from tools.synth.alarm_sounds import LABELS, TEMPORAL_FOUR, TEMPORAL_THREE, TOLERANCE, active_rms, make_alarm

RATE = 16_000
SWELL_S = 0.02  # by which soft edges may mislead the measurement


def on_and_off_s(samples):
    """Lengths of the sounding and of the silent runs, as a microphone would measure them."""
    n = RATE // 500  # 2 ms
    power = np.mean(samples[: len(samples) // n * n].reshape(-1, n) ** 2, axis=1)
    sounding = power > 0.02 * power.max()
    edges = np.flatnonzero(np.diff(sounding.astype(int))) + 1
    runs = np.split(sounding, edges)
    lengths = [(bool(run[0]), len(run) * n / RATE) for run in runs]
    return lengths if lengths[0][0] else lengths[1:]  # a sounder takes a moment to swell


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("label", "cadence"), [("smoke_alarm", TEMPORAL_THREE), ("co_alarm", TEMPORAL_FOUR)])
def test_cadence_is_the_standards(label, cadence, seed):
    count, on_s, off_s, pause_s = cadence
    alarm = make_alarm(label, 14.0, RATE, np.random.default_rng(seed))
    runs = on_and_off_s(alarm.samples)
    assert alarm.pulses[0][0] == 0.0
    expected = [*([(True, on_s), (False, off_s)] * count)[:-1], (False, pause_s)]
    for index, (sounding, length_s) in enumerate(runs[: 2 * len(expected)]):
        wanted, wanted_s = expected[index % len(expected)]
        assert sounding == wanted
        assert abs(length_s - wanted_s) <= TOLERANCE * wanted_s + SWELL_S


@pytest.mark.parametrize("label", LABELS)
def test_same_seed_same_alarm_and_unit_level(label):
    first, second = (make_alarm(label, 3.0, RATE, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.samples, second.samples)
    assert first.samples.dtype == np.float32
    assert len(first.samples) >= 3.0 * RATE
    assert active_rms(first.samples, first.pulses, RATE) == pytest.approx(1.0, abs=1e-4)


def test_smoke_alarm_is_proven_by_its_pause():
    alarm = make_alarm("smoke_alarm", 12.0, RATE, np.random.default_rng(1))
    third_pulse_end_s = alarm.pulses[2][1]
    assert alarm.evidence(-4.0, 0.0) is False
    assert alarm.evidence(third_pulse_end_s - 4.0, third_pulse_end_s) is None
    assert alarm.evidence(-0.7, third_pulse_end_s + 0.9) is True
    assert alarm.evidence(0.0, third_pulse_end_s + 0.9) is None, "a pulse may have come before"
    assert alarm.evidence(5.0, 9.0) is True, "once it sounds, every clip holds three pulses and a pause"


def test_co_alarm_is_not_in_its_own_pause():
    alarm = make_alarm("co_alarm", 12.0, RATE, np.random.default_rng(1))
    last_pulse_end_s, next_group_s = alarm.pulses[3][1], alarm.pulses[4][0]
    assert alarm.evidence(-0.3, 3.7) is True
    assert alarm.evidence(0.0, 4.0) is None, "a fifth pulse may have come before"
    assert alarm.evidence(last_pulse_end_s, next_group_s) is False
    assert alarm.evidence(0.2, 4.2) is None, "one of the four pulses is missing"


@pytest.mark.parametrize(("sounder", "low_hz", "high_hz"), [("piezo", 2600, 3700), ("square", 490, 550)])
def test_a_cadence_is_given_by_the_sounder_asked_for(sounder, low_hz, high_hz):
    for seed in range(6):
        alarm = make_alarm("smoke_alarm", 3.0, RATE, np.random.default_rng(seed), sounder)
        first_s, last_s = alarm.pulses[0]
        pulse = alarm.samples[round((first_s + 0.1) * RATE) : round((last_s - 0.1) * RATE)]
        power = np.abs(np.fft.rfft(pulse * np.hanning(len(pulse)), RATE)) ** 2
        assert 0.85 * low_hz < np.argmax(power) < 1.15 * high_hz, "a glide goes an eighth to either side"


def test_siren_counts_once_two_seconds_were_heard():
    alarm = make_alarm("siren", 10.0, RATE, np.random.default_rng(1))
    assert alarm.evidence(-3.9, 0.1) is False
    assert alarm.evidence(-3.0, 1.0) is None
    assert alarm.evidence(-2.0, 2.0) is True


@pytest.mark.parametrize("label", ["smoke_alarm", "co_alarm"])
def test_nothing_folds_down_from_above_half_the_rate(label):
    # at 8 kHz the harmonics of a 3 kHz sounder do not fit: they must be left out, not aliased
    for seed in range(6):
        alarm = make_alarm(label, 4.0, 8_000, np.random.default_rng(seed))
        spectrum = np.abs(np.fft.rfft(alarm.samples)) ** 2
        frequency_hz = np.fft.rfftfreq(len(alarm.samples), 1 / 8_000)
        lowest_sounder_hz = 400
        below = spectrum[frequency_hz < lowest_sounder_hz].sum() / spectrum.sum()
        assert below < 0.01
