"""Every sample format becomes the same float32, whatever its layout."""

import numpy as np
import pytest
from av.audio.frame import AudioFrame
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeaudio.capture.samples import in_range, samples_of

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


FORMATS = [(kind, planar) for kind in ("u8", "s16", "s32", "s64", "flt", "dbl") for planar in (False, True)]


@pytest.mark.parametrize(("kind", "planar"), FORMATS)
def test_every_sample_format(kind: str, planar: bool) -> None:
    samples, broken = samples_of([frame_of(kind, planar=planar)], 2)
    assert samples.dtype == np.float32
    assert samples.flags.c_contiguous
    np.testing.assert_allclose(samples, np.stack([LEFT, RIGHT], axis=1), atol=1e-7)
    assert broken == 0


@given(st.lists(st.sampled_from(FORMATS) | st.integers(1, 5), min_size=1, max_size=12))
def test_frames_and_silence_are_joined_in_their_order(parts: list[tuple[str, bool] | int]) -> None:
    frames = [part if isinstance(part, int) else frame_of(part[0], planar=part[1]) for part in parts]
    each = [np.zeros((part, 2)) if isinstance(part, int) else np.stack([LEFT, RIGHT], axis=1) for part in parts]
    samples, broken = samples_of(frames, 2)
    np.testing.assert_allclose(samples, np.concatenate(each), atol=1e-7)
    assert broken == 0


def test_samples_of_one_channel_have_one_dimension() -> None:
    frame = AudioFrame(format="s16", layout="mono", samples=2)
    frame.planes[0].update(np.array([1 << 14, -(1 << 15)], "i2").tobytes().ljust(frame.planes[0].buffer_size, b"\x55"))
    assert samples_of([frame, 3, frame], 1)[0].tolist() == [0.5, -1, 0, 0, 0, 0.5, -1]
    assert samples_of([3], 1)[0].tolist() == [0, 0, 0]


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
    samples, broken = samples_of([frame], 1)
    assert samples.tolist() == [0, 0.5]
    assert broken == 1
