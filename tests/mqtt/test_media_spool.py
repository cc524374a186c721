"""What waits to be sent is bounded by number, bytes and age; the oldest gives way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeaudio.sinks.mqtt import media_spool
from edgeaudio.sinks.mqtt.media_spool import MediaSpool, WaitingFile
from edgeaudio.types import ClipReady

CLIP = ClipReady("id", "porch", "dog", 0.9, "home", datetime(2026, 11, 30, tzinfo=UTC), Path("a.opus"), "opus", None)


def waiting(n_bytes: int = 10, added_s: float = 0.0) -> WaitingFile:
    return WaitingFile(CLIP, "clip", CLIP.sound, n_bytes, added_s)


@pytest.mark.parametrize(("bound", "most"), [("MAX_FILES", 3), ("MAX_BYTES", 39)])
def test_the_oldest_gives_way(monkeypatch: pytest.MonkeyPatch, bound: str, most: int):
    monkeypatch.setattr(media_spool, bound, most)
    spool = MediaSpool()
    files = [waiting() for _ in range(5)]
    assert [spool.put(file) for file in files] == [0, 0, 0, 1, 1]
    assert len(spool) == 3
    for file in files[2:]:
        assert spool.first is file
        spool.remove_first()
    assert spool.first is None


def test_a_file_over_the_bytes_is_not_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(media_spool, "MAX_BYTES", 5)
    spool = MediaSpool()
    assert spool.put(waiting()) == 1
    assert len(spool) == 0
    assert spool.put(waiting(5)) == 0


def test_what_is_too_old_is_removed():
    spool = MediaSpool()
    for added_s in (0.0, 10.0, 20.0):
        spool.put(waiting(added_s=added_s))
    assert spool.expire(media_spool.MAX_AGE_S + 15.0) == 2
    assert spool.first is not None
    assert spool.first.added_s == 20.0
    assert spool.expire(media_spool.MAX_AGE_S + 15.0) == 0
