"""The proof with kills in its short form, and that the proof can fail."""

from __future__ import annotations

from pathlib import Path

from chaos.kills import kills


def test_what_was_committed_is_received_though_the_agent_is_killed(tmp_path: Path) -> None:
    books = kills(tmp_path, 5)
    assert books.faults == ()
    assert books.committed > 0
    assert books.received >= books.committed
