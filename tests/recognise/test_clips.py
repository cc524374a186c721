"""Clips: their starts, their features, and that splitting the input differently changes nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.feature_configs import feature_configs
from support.rounding import tolerance

from edgeaudio.decibels import rms_dbfs
from edgeaudio.recognise.clips import ClipConfig, ClipCutter
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import features

NO_GATE = -300.0
RATE = 8000
MELS = FeatureConfig("log_mel", RATE, n_fft=256, hop_length=80, n_mels=10)


def noise(n, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, n).astype(np.float32)


def clips_of(config, pieces, gate_dbfs=NO_GATE):
    cutter = ClipCutter(config, gate_dbfs)
    found = [clip for piece in pieces for clip in cutter.feed(piece)]
    return found, list(cutter.flush())


@pytest.mark.parametrize(
    ("period_s", "starts"),
    [
        (0.05, [0, 400, 800, 1200]),
        (0.0501, [0, 401, 802, 1202]),  # the nearest sample, without drift
        (0.2, [0, 1600]),  # with gaps between clips
    ],
)
def test_waveform_clips_begin_at_each_period(period_s, starts):
    signal = noise(2050)
    found, last = clips_of(ClipConfig(RATE, 450, period_s, None), [signal[:2050]])
    assert [clip.start for clip in found][: len(starts)] == starts
    for clip in found:
        np.testing.assert_array_equal(clip.values, signal[clip.start :][:450])
        assert clip.rms_dbfs == rms_dbfs(signal[clip.start :][:450])
    end = found[-1].start + 450
    assert [clip.start for clip in last] == ([2050 - 450] if end < 2050 else [])


def test_feature_clips_begin_at_the_nearest_frame():
    found, _ = clips_of(ClipConfig(RATE, 800, 0.0333, MELS), [noise(4000)])
    assert [clip.start for clip in found] == [round(k * 0.0333 * RATE / 80) * 80 for k in range(len(found))]
    assert len(found) == 13


def test_a_clip_is_a_copy():
    """The values that a caller keeps do not change when more samples are fed."""
    cutter = ClipCutter(ClipConfig(RATE, 10, 10 / RATE, None), NO_GATE)
    first = next(cutter.feed(np.ones(10, dtype=np.float32)))
    list(cutter.feed(np.zeros(100_000, dtype=np.float32)))
    np.testing.assert_array_equal(first.values, np.ones(10))


def test_below_the_gate_a_clip_has_a_level_and_no_values():
    signal = np.concatenate([np.full(100, 0.1), np.full(100, 0.5), np.zeros(100)]).astype(np.float32)
    found, _ = clips_of(ClipConfig(RATE, 100, 100 / RATE, None), [signal], gate_dbfs=-10)
    assert [clip.rms_dbfs for clip in found] == [pytest.approx(-20), pytest.approx(-6.02, abs=0.01), None]
    assert [clip.values is None for clip in found] == [True, False, True]


def test_a_signal_shorter_than_a_clip_is_padded():
    found, last = clips_of(ClipConfig(RATE, 800, 0.1, MELS), [noise(300)])
    assert not found
    expected = np.concatenate([noise(300), np.zeros(500, dtype=np.float32)])
    assert [clip.start for clip in last] == [0]
    np.testing.assert_array_equal(last[0].values, features(expected, MELS))


@pytest.mark.parametrize("n", [0, 800])
def test_flush_yields_nothing_when_clips_cover_the_signal(n):
    _, last = clips_of(ClipConfig(RATE, 800, 0.1, MELS), [noise(n)])
    assert not last


def test_the_last_clip_ends_with_the_signal():
    found, last = clips_of(ClipConfig(RATE, 800, 0.1, MELS), [noise(1337)])
    assert [clip.start for clip in found] == [0]
    assert [clip.start for clip in last] == [537]
    samples = noise(1337)[537:]
    assert np.all(np.abs(last[0].values - features(samples, MELS)) <= tolerance(samples, MELS))


@pytest.mark.integration  # it takes seconds
@settings(max_examples=examples(80))
@given(
    config=st.sampled_from(["spectrogram", "log_mel", "mfcc"]).flatmap(
        # of shorter hops a clip has a thousand frames, most of them at its edges, and the test takes four times as long
        lambda kind: feature_configs(kind, RATE, st.floats(-50, 50), min_hop=16)
    ),
    period_s=st.floats(0.01, 0.3),
    extra=st.integers(0, 1500),
    quiet=st.integers(0, 3000),
    cuts=st.lists(st.integers(0, 4500), max_size=5),
)
def test_shared_frames_equal_those_of_the_clip_alone(config, period_s, extra, quiet, cuts):
    """Whatever the convention, a clip of a stream has the numbers of the clip alone, however it was clip."""
    n_samples = config.frame_length + 2 * config.hop_length + extra
    signal = noise(n_samples + 2000)
    signal[quiet : quiet + 700] *= 1e-5  # some clips are below the gate, and the cache of frames has a hole
    geometry = ClipConfig(RATE, n_samples, period_s, config)
    whole, last = clips_of(geometry, [signal], gate_dbfs=-20)
    assert whole
    for clip in whole + last:
        samples = signal[clip.start :][:n_samples]
        assert clip.rms_dbfs == rms_dbfs(samples)
        if clip.values is not None:
            # a matrix product of more frames at once may be rounded differently by the processor's kernels
            assert np.all(np.abs(clip.values - features(samples, config)) <= tolerance(samples, config))
    pieces, last_piece = clips_of(geometry, np.split(signal, sorted(cuts)), gate_dbfs=-20)
    assert [(clip.start, clip.rms_dbfs, _bits(clip)) for clip in pieces + last_piece] == [
        (clip.start, clip.rms_dbfs, _bits(clip)) for clip in whole + last
    ]


def _bits(clip):
    return None if clip.values is None else clip.values.tobytes()


def test_memory_does_not_grow_with_time():
    """Hours of sound need the memory of one or two clips."""
    cutter = ClipCutter(ClipConfig(RATE, RATE, 0.5, MELS), NO_GATE)
    second = noise(RATE)
    for _ in range(60):
        list(cutter.feed(second))
    assert len(cutter._buffer._data) <= 8 * RATE
    assert len(cutter._rows) <= MELS.n_frames(RATE)
