"""Steps of stateful models: what they consist of, and that splitting the input differently changes no bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.tflite import MICRO

from edgeaudio.decibels import rms_dbfs
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import features
from edgeaudio.recognise.micro_frontend import MicroFrontend
from edgeaudio.recognise.steps import StepConfig, StepCutter

NO_GATE = -300.0
RATE = 8000
MELS = FeatureConfig("log_mel", RATE, n_fft=256, hop_length=80, n_mels=10, preemphasis=0.97)
CONFIGS = {
    "waveform": StepConfig(RATE, 500, step=100, hop=100, span=100, features=None),
    "mels": StepConfig(RATE, 1000, step=2, hop=160, span=336, features=MELS),
    # a clip is no longer than a step, and neither is whole numbers of 10 ms
    "short": StepConfig(RATE, 221, step=221, hop=221, span=221, features=None),
    "micro": StepConfig(16000, 3200, step=3, hop=480, span=800, features=MICRO),
}


def noise(n, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, n).astype(np.float32)


def steps_of(config, pieces, gate_dbfs=NO_GATE):
    cutter = StepCutter(config, gate_dbfs)
    return [step for piece in pieces for step in cutter.feed(piece)], list(cutter.flush())


def bits(steps):
    return [
        (
            step.start,
            step.stop,
            step.rms_dbfs,
            step.is_quiet,
            step.values.tobytes(),
            None if step.powers is None else step.powers.tobytes(),
        )
        for step in steps
    ]


def test_each_frame_is_in_one_step():
    signal = noise(4000)
    found, _ = steps_of(CONFIGS["mels"], [signal])
    together = np.concatenate([step.values for step in found])
    assert len(found) == (4000 - 336) // 160 + 1
    np.testing.assert_allclose(together, features(signal, MELS)[: len(together)], atol=1e-3)


def test_a_waveform_is_given_in_order_and_once():
    signal = noise(1234)
    found, _ = steps_of(CONFIGS["waveform"], [signal[:150], signal[150:]])
    np.testing.assert_array_equal(np.concatenate([step.values for step in found]), signal[:1200])


def test_the_micro_front_end_goes_on_from_step_to_step():
    signal = noise(16000)
    found, _ = steps_of(CONFIGS["micro"], np.array_split(signal, 13))
    together = np.concatenate([step.values for step in found])
    np.testing.assert_array_equal(together, MicroFrontend(MICRO).rows(signal)[: len(together)])


def test_a_score_is_about_the_last_samples():
    signal = noise(3000)
    found, _ = steps_of(CONFIGS["mels"], [signal])
    assert [step.stop for step in found[:6]] == [336, 496, 656, 816, 976, 1136]
    # at whole powers, not before the signal, and no longer than n_samples
    assert [step.start for step in found[:8]] == [0, 0, 0, 0, 0, 160, 320, 480]
    for step in found:
        whole = signal[step.start : step.stop // 80 * 80]
        assert step.rms_dbfs == pytest.approx(rms_dbfs(whole))
        np.testing.assert_allclose(step.powers, np.square(whole.reshape(-1, 80)).mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("n_pieces", [1, 40])
def test_the_level_of_clips_that_do_not_overlap_is_their_own(n_pieces):
    signal = noise(4000) * np.linspace(0.01, 1, 4000, dtype=np.float32)
    found, _ = steps_of(CONFIGS["short"], np.array_split(signal, n_pieces))
    for step in found:
        assert step.rms_dbfs == pytest.approx(rms_dbfs(signal[step.start : step.stop // 80 * 80]))


@pytest.mark.parametrize("hop", [160, 170, 239, 240, 400])
def test_no_clip_begins_later_than_the_longest_step_after_another(hop):
    """Sinks take a later one for a sign that scores are missing."""
    config = StepConfig(RATE, 1000, step=hop, hop=hop, span=hop, features=None)
    found, _ = steps_of(config, [noise(20_000)])
    longest = np.diff([step.start for step in found]).max()
    assert longest <= config.longest_step_s * RATE < hop + 80


def test_a_quiet_step_is_run_and_does_not_count():
    signal = np.concatenate([noise(500), noise(1000) * 1e-5, np.zeros(1000, np.float32)]).astype(np.float32)
    found, _ = steps_of(CONFIGS["waveform"], [signal], gate_dbfs=-60)
    assert [step.is_quiet for step in found] == [False] * 9 + [True] * 16
    assert all(step.values is not None for step in found)
    assert [step.powers is None for step in found] == [step.is_quiet for step in found]
    assert found[-1].rms_dbfs is None


def test_a_signal_shorter_than_a_step_is_padded():
    found, last = steps_of(CONFIGS["mels"], [noise(100)])
    assert not found
    (step,) = last
    expected = np.concatenate([noise(100), np.zeros(236, np.float32)])
    np.testing.assert_allclose(step.values, features(expected, MELS), atol=1e-3)


@pytest.mark.parametrize("n", [0, 340, 400])
def test_flush_adds_no_step_to_a_longer_signal(n):
    assert steps_of(CONFIGS["mels"], [noise(n)])[1] == []


@settings(max_examples=examples(40))
@given(
    name=st.sampled_from(sorted(CONFIGS)), cuts=st.lists(st.integers(0, 4500), max_size=6), quiet=st.integers(0, 3000)
)
def test_splitting_the_signal_changes_no_bit(name, cuts, quiet):
    signal = noise(4500)
    signal[quiet : quiet + 1500] *= np.float32(1e-5)
    whole, rest = steps_of(CONFIGS[name], [signal], gate_dbfs=-40)
    pieces, last = steps_of(CONFIGS[name], np.split(signal, sorted(cuts)), gate_dbfs=-40)
    assert bits(pieces + last) == bits(whole + rest)


@pytest.mark.parametrize("name", CONFIGS)
def test_memory_does_not_grow_with_time(name):
    cutter = StepCutter(CONFIGS[name], NO_GATE)
    second = noise(RATE)
    for _ in range(30):
        list(cutter.feed(second))
    assert len(cutter._buffer._data) <= 4 * RATE
    assert len(cutter._powers) * cutter._power_length <= CONFIGS[name].n_samples + 2 * RATE
