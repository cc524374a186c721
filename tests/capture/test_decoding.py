"""Every sample format becomes the same float32, whatever its layout."""

import numpy as np
import pytest
from av.audio.frame import AudioFrame
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeaudio.capture.samples import in_range, planes_of

LEFT = np.array([0.0, 0.5, -0.5, -1.0])
RIGHT = np.array([0.25, -0.25, 0.75, 0.0])


def frame_of(kind: str, *, planar: bool) -> AudioFrame:
    scales = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63, "flt": 1.0, "dbl": 1.0}
    dtypes = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
    values = np.stack([LEFT, RIGHT]) * scales[kind]
    raw = (values + 128 if kind == "u8" else values).astype(dtypes[kind])
    frame = AudioFrame(format=kind + ("p" if planar else ""), layout="stereo", samples=raw.shape[1])
    if planar:
        for plane, channel in zip(frame.planes, raw, strict=True):
            plane.update(channel.tobytes().ljust(plane.buffer_size, b"\x55"))
    else:
        frame.planes[0].update(raw.T.tobytes().ljust(frame.planes[0].buffer_size, b"\x55"))
    return frame


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("kind", ["u8", "s16", "s32", "s64", "flt", "dbl"])
def test_every_sample_format(kind: str, planar: bool) -> None:
    planes = planes_of(frame_of(kind, planar=planar))
    assert planes.dtype == np.float32
    np.testing.assert_allclose(planes, np.stack([LEFT, RIGHT]), atol=1e-7)


@given(arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(1, 50)), elements=st.floats(width=32)))
def test_whatever_a_float_file_holds_comes_out_in_range(planes: np.ndarray) -> None:
    samples, broken = in_range(planes)
    assert samples.dtype == np.float32
    assert samples.shape == (planes.shape[1:] if len(planes) == 1 else planes.T.shape)
    assert np.all(np.abs(samples) <= 1)
    assert broken == np.count_nonzero(~np.isfinite(planes))


def test_a_double_too_large_for_float32_counts_as_broken() -> None:
    frame = AudioFrame(format="dblp", layout="mono", samples=2)
    frame.planes[0].update(np.array([1e300, 0.5]).tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
    samples, broken = in_range(planes_of(frame))
    assert samples.tolist() == [0, 0.5]
    assert broken == 1
