"""The proof with a fleet in its short form: all are back, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

from chaos.fleet import restart


def test_a_small_fleet_is_back_at_once_and_keeps_its_pace(tmp_path: Path) -> None:
    row = restart(tmp_path / "fleet", 10, 20, 0.5, rate_per_s=5.0)
    assert row.faults == ()
    assert row.detections == 200
    assert row.back_s < 10
    assert row.drained_s > 2  # 20 detections of each, besides state, at 5 a second
    assert row.peak_per_s <= 10 * (5 + 2)
