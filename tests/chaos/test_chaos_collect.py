"""The proof of collect in its short form, and that it can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.collect import judged, under


@pytest.mark.slow
def test_what_was_published_is_stored_once_though_collectors_are_killed(tmp_path: Path) -> None:
    row = under(tmp_path / "collectors", "collectors", rate_per_s=200.0, duration_s=6.0, every_s=2.0)
    assert row.faults == ()
    assert row.times > 0
    assert row.stored == row.rows == row.published == 1200


def test_what_is_lost_or_stored_twice_is_a_fault() -> None:
    assert judged("database", 100, 99, 99) == ("killed database: 1 of 100 detections are not stored",)
    assert judged("database", 100, 100, 101) == ("killed database: 1 detections are stored twice",)
