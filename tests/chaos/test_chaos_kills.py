"""The proof with kills in its short form, and that the proof can fail."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.clips import put_clip

from chaos.events import Books
from chaos.kills import Kept, kills, with_clips


def test_what_was_committed_is_received_though_the_agent_is_killed(tmp_path: Path) -> None:
    books = kills(tmp_path, 5)
    assert books.faults == ()
    assert books.committed > 0
    assert books.received >= books.committed
    assert books.clips > 0


@pytest.mark.parametrize("broken", ["half a sound", "no sound", "a file alone", "no clips"])
def test_what_is_wrong_with_clips_is_a_fault(broken: str, tmp_path: Path) -> None:
    books = Books(1, 1, 0, ())
    if broken != "no clips":
        clip = put_clip(tmp_path, "id-1", datetime(2026, 11, 30, tzinfo=UTC))
        assert with_clips(books, tmp_path) == Kept(1, 1, 0, 1, ())
        if broken == "half a sound":
            clip.sound.write_bytes(b"half")
        elif broken == "no sound":
            clip.sound.unlink()
        else:
            clip.file.with_suffix(".webp").touch()
    assert len(with_clips(books, tmp_path).faults) == 1
