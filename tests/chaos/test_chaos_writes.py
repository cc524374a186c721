"""The measurement of what is written in its short form: nothing without events, and little with them."""

from __future__ import annotations

from pathlib import Path

from chaos.writes import writes


def test_nothing_is_written_while_nothing_happens(tmp_path: Path) -> None:
    quiet, events = writes(tmp_path, short=True)
    assert quiet.faults == events.faults == ()
    assert (quiet.events, quiet.written_kb) == (0, 0.0)
    assert events.events >= 2
    assert events.an_event_kb is not None
    assert events.an_event_kb < 40  # nothing at all where the folder is in memory
