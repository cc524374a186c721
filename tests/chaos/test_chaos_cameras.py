"""The proof with cameras in its short form: each fault once."""

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.cameras import Row, on_cables, on_loopback


def test_cameras_fail_in_every_way(tmp_path: Path) -> None:
    rows = on_loopback(tmp_path, rounds=1, settle_s=0.5)
    assert len(rows) == 9
    assert [fault for row in rows for fault in row.faults] == []
    heard = {row.fault: row.note for row in rows}
    assert heard["camera reboots with another codec and rate"] == "heard again as aac 48000 Hz"
    assert heard["server killed"] == "heard again as pcm_alaw 8000 Hz"
    told = {row.fault: row.told for row in rows}
    assert told["password changed"] == "waiting unauthorized"
    assert told["audio switched off in the camera"] == "waiting no_audio_track"


@pytest.mark.slow
def test_networks_fail(tmp_path: Path) -> None:
    rows = on_cables(tmp_path, rounds=1, settle_s=0.5, lossy_s=4.0)
    assert [fault for row in rows for fault in row.faults] == []
    assert rows[0].told in {"stalled timeout", "waiting unreachable"}  # whether the kernel knows that nobody is there
    assert [row.told for row in rows[1:]] == ["waiting unreachable", "listening"]
    assert "counted as lost" in rows[2].note


def test_a_row_over_a_limit_is_a_fault() -> None:
    fine = Row("x", "waiting refused", 1, 0.1, 0.2, 1.0, 2.0, 0.1, 0.1)
    assert fine.faults == ()
    assert replace(fine, told_worst_s=11.0, account_error_s=3.0).faults == (
        "x: told: 11.0 s, over 10 s",
        "x: seconds heard and lost: 3.0 s, over 2 s",
    )
