"""A recording that is read from a position on: the sound before is left out, and times are those of the medium."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import numpy as np
import pytest
from support.media import sine, write_media

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.types import Block

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("codec", "ending"), [("pcm_s16le", "wav"), ("flac", "flac"), ("aac", "m4a")])
def test_sound_from_a_position_on_is_the_same_as_in_the_whole(codec, ending, tmp_path):
    path = tmp_path / f"sound.{ending}"
    write_media(path, codec, np.concatenate([sine(f, 8000, 2.0) for f in (200, 300, 400, 500)], axis=1), 8000)

    def read(begin_s):
        blocks: list[Block] = []
        try:
            with open_source(
                SourceConfig("given", str(path)), threading.Event(), media_start=START, begin_s=begin_s
            ) as c:
                blocks += c
        except SourceError as error:
            assert begin_s > 0  # less was heard than the file has
            assert "cut off" in str(error)  # noqa: PT017 (only some formats say so)
        return (blocks[0].at - START).total_seconds(), np.concatenate([block.samples for block in blocks])

    first_s, whole = read(0.0)
    at_s, part = read(5.0)
    assert first_s == 0
    assert 3.5 < at_s <= 5.0
    begin = round(at_s * 8000)
    assert len(part) == len(whole) - begin
    # an encoder's own first frame after a jump is another one
    assert np.allclose(part[4096:], whole[begin + 4096 :], atol=1e-3)
