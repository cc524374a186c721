"""Who watches what, and what waits for a slow page."""

from __future__ import annotations

from datetime import UTC, datetime

from edgeaudio.dashboard.columns import Columns
from edgeaudio.dashboard.sound import Sound
from edgeaudio.dashboard.viewers import MAX_QUEUED, Viewers, Watched
from edgeaudio.wire.payloads import Scores

PORCH, HALL = Watched("dock", "porch"), Watched("dock", "hall")


def test_each_viewer_gets_what_it_watches_and_nothing_else():
    viewers = Viewers()
    scores = Scores("dock", "porch", datetime.now(UTC), 1.0, {"dog": 0.1})
    with viewers.watching(PORCH) as first, viewers.watching(PORCH) as second, viewers.watching(HALL) as other:
        viewers.hand_out(Columns("dock", "porch", b"1"))
        viewers.hand_out(scores)
        assert first.take() == second.take() == [Columns("dock", "porch", b"1"), scores]
        assert first.take() == other.take() == []


def test_the_oldest_are_dropped_for_a_slow_page():
    viewers = Viewers()
    with viewers.watching(PORCH) as slow:
        for number in range(MAX_QUEUED + 3):
            viewers.hand_out(Columns("dock", "porch", str(number).encode()))
        kept = [value.packet for value in slow.take() if isinstance(value, Columns)]
        assert kept == [str(number).encode() for number in range(3, MAX_QUEUED + 3)]


def test_a_source_is_watched_until_its_last_viewer_is_gone():
    viewers = Viewers()
    assert not viewers.is_anybody.is_set()
    with viewers.watching(PORCH):
        with viewers.watching(PORCH), viewers.watching(HALL):
            assert viewers.watched() == [PORCH, HALL]
            viewers.report(HALL, "refused")
        assert viewers.watched() == [PORCH]
        assert viewers.is_anybody.is_set()
        # a trouble is of those who watch, and ends with them
        assert viewers.trouble(HALL) == ""
        viewers.report(HALL, "refused")
        assert viewers.trouble(HALL) == ""
    assert viewers.watched() == []
    assert not viewers.is_anybody.is_set()
    viewers.hand_out(Columns("dock", "porch", b"1"))


def test_who_watches_hears_nothing_and_who_listens_sees_nothing():
    viewers = Viewers()
    with viewers.watching(PORCH) as viewer, viewers.watching(PORCH._replace(part="sound")) as listener:
        viewers.hand_out(Columns("dock", "porch", b"1"))
        viewers.hand_out(Sound("dock", "porch", b"2"))
        assert viewer.take() == [Columns("dock", "porch", b"1")]
        assert listener.take() == [Sound("dock", "porch", b"2")]
        viewers.report(PORCH._replace(part="sound"), "refused")
        assert viewers.trouble(PORCH) == ""
