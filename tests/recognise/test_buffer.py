"""The window of a long signal, compared with a list."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.recognise.buffer import SampleBuffer

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
