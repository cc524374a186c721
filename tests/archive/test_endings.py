"""The end of a recording as a file of its own: its samples are those of the whole, to the bit."""

import io
from contextlib import suppress

import numpy as np
import pytest
from support.archives import START
from support.media import write_media

from edgeaudio.archive.borders import blocks_of
from edgeaudio.archive.endings import ending
from edgeaudio.archive.lengths import length_of
from edgeaudio.capture.errors import SourceError

RATE = 8000


def samples_of(path):
    """Return what can be decoded; an end is shorter than its FLAC header says, which is told behind the last sample."""
    found: list[np.ndarray] = []
    with suppress(SourceError):
        found.extend(block.samples for block in blocks_of(path, "mix", START))
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("codec", "ending_of", "channels"),
    [
        ("pcm_s16le", "wav", 1),
        ("pcm_s24le", "wav", 2),
        ("pcm_f32le", "wav", 1),
        ("flac", "flac", 1),
        ("flac", "flac", 2),
    ],
)
def test_the_end_has_the_samples_of_the_whole(codec, ending_of, channels, tmp_path):
    noise = np.random.default_rng(1).normal(0, 1, (channels, 40 * RATE)).astype(np.float32)
    noise *= np.repeat([0.001, 0.3, 0.0, 0.1], 10 * RATE).astype(np.float32)  # of very unlike sizes in FLAC
    whole = tmp_path / f"whole.{ending_of}"
    write_media(whole, codec, noise, RATE)
    length = length_of(whole, whole.stat().st_size)
    assert length is not None
    wanted = samples_of(whole)
    assert len(wanted) == length.n_samples
    for first in (0, 1, 12_345, 30 * RATE, length.n_samples - 1):
        with whole.open("rb") as file:
            found = ending(file, first, length)
        assert found is not None
        content, begin = found
        assert first - 65_536 < begin <= first
        end = tmp_path / "end"
        end.write_bytes(content)
        np.testing.assert_array_equal(samples_of(end), wanted[begin:])


@pytest.mark.parametrize(
    "content", [b"", b"fLaC", b"RIFF", b"RIFF" + bytes(100), b"fLaC" + bytes(100), b"\xff\xf8" * 99]
)
def test_what_is_no_recording_has_no_end(content, tmp_path):
    whole = tmp_path / "whole.flac"
    write_media(whole, "flac", np.zeros((1, RATE), np.float32), RATE)
    length = length_of(whole, whole.stat().st_size)
    assert length is not None
    assert ending(io.BytesIO(content), 100, length) is None
