"""The proof with cameras in its short form: each fault once."""

from pathlib import Path

from faults.cameras import on_cables, on_loopback


def test_cameras_fail_in_every_way(tmp_path: Path) -> None:
    rows = on_loopback(tmp_path, rounds=1, settle_s=0.5)
    assert len(rows) == 9
    assert [fault for row in rows for fault in row.faults] == []
    told = {row.fault: row.told for row in rows}
    assert told["password changed"] == "waiting unauthorized"
    assert told["audio switched off in the camera"] == "waiting no_audio_track"


def test_networks_fail(tmp_path: Path) -> None:
    rows = on_cables(tmp_path, rounds=1, settle_s=0.5, lossy_s=4.0)
    assert [fault for row in rows for fault in row.faults] == []
    assert [row.told for row in rows] == ["stalled timeout", "waiting unreachable", "listening"]
    assert "counted as lost" in rows[2].note
