"""The window of a long signal, compared with a list."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from edgeaudio.recognise.buffer import SampleBuffer, windows_of

STEPS = st.lists(st.tuples(st.integers(0, 3000), st.integers(-100, 9000)), max_size=30)


@given(STEPS)
def test_the_window_holds_the_samples_not_yet_forgotten(steps):
    buffer, signal, kept = SampleBuffer(), np.empty(0, dtype=np.float32), 0
    for n, forgotten in steps:
        signal = np.concatenate([signal, np.arange(len(signal), len(signal) + n, dtype=np.float32)])
        buffer.append(signal[len(signal) - n :])
        buffer.forget(forgotten)
        kept = min(max(kept, forgotten), len(signal))
        assert (buffer.start, buffer.stop) == (kept, len(signal))
        np.testing.assert_array_equal(buffer.view(kept, len(signal)), signal[kept:])


def test_single_samples_do_not_grow_the_buffer():
    buffer = SampleBuffer()
    for i in range(50_000):
        buffer.append(np.full(1, i, dtype=np.float32))
        buffer.forget(i - 100)
    assert len(buffer._data) == 4096
    np.testing.assert_array_equal(buffer.view(49_990, 50_000), np.arange(49_990, 50_000))


@given(st.integers(0, 60), st.integers(1, 40), st.integers(1, 20), st.integers(1, 3))
def test_windows_are_those_of_numpy(n_samples, length, step, stride):
    signal = np.arange(n_samples * stride, dtype=np.float32)[::stride]
    windows = windows_of(signal, length, step)
    expected = sliding_window_view(signal, length)[::step] if n_samples >= length else np.empty((0, length))
    np.testing.assert_array_equal(windows, expected)


def test_windows_of_an_array_that_is_not_written_to_are_a_view():
    signal = np.arange(10, dtype=np.float32)
    signal.flags.writeable = False
    assert np.shares_memory(windows_of(signal, 4, 2), signal)
