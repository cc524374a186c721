"""Damaged recordings: each is read, or refused with a reason; nothing crashes, hangs or slips through unnamed."""

import contextlib
import random
import time
from pathlib import Path

import pytest
from support.media import sine, write_media
from support.sources import hear

from edgeaudio.capture.errors import SourceError

MUTATIONS = 25
KINDS = [
    ("pcm_s16le", "a.wav", 8000),
    ("pcm_f32le", "a.wav", 8000),
    ("flac", "a.flac", 16000),
    ("libmp3lame", "a.mp3", 16000),
    ("aac", "a.aac", 16000),
    ("aac", "a.m4a", 16000),
    ("libopus", "a.ogg", 16000),
    ("aac", "a.ts", 16000),
    ("aac", "a.mkv", 16000),
    ("aac", "a.flv", 44100),
]


def mutate(data: bytes, generator: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(generator.choice([1, 4, 40])):
        at = generator.randrange(len(damaged))
        what = generator.randrange(4)
        if what == 0:
            damaged[at] = generator.randrange(256)
        elif what == 1:
            damaged[at : at + 4] = generator.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
        elif what == 2:
            del damaged[at : at + generator.randrange(1, 300)]
        else:
            damaged[at:at] = generator.randbytes(generator.randrange(1, 300))
        if not damaged:
            return b"\0"
    return bytes(damaged)


@pytest.mark.parametrize(("codec", "file", "rate"), KINDS)
def test_damaged_recordings(codec: str, file: str, rate: int, tmp_path: Path) -> None:
    whole = tmp_path / file
    write_media(whole, codec, sine(1000, rate, 3.0), rate, bit_rate=64000)
    data = whole.read_bytes()
    generator = random.Random(f"{codec} {file}")
    read = 0
    for number in range(MUTATIONS):
        path = tmp_path / f"{number}{whole.suffix}"
        path.write_bytes(mutate(data, generator))
        began = time.monotonic()
        with contextlib.suppress(SourceError):
            hear(str(path), 60, media=True, open_timeout_s=2, read_timeout_s=2)
            read += 1
        assert time.monotonic() - began < 6, f"{path} took too long"
        path.unlink()
    assert read > 0, "all were refused: the damage is too great to test anything"
