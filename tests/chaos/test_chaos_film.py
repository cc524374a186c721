"""Films in files and from a program that is killed, in the proof's short form, and that it can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos import film as proof


def test_clicks_and_flashes_stay_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = proof.film(tmp_path, short=True)
    assert [fault for row in rows for fault in row.faults] == []
    assert rows[0].flashes == 5
    monkeypatch.setattr(proof, "IN_FILES_MS", -1.0)
    assert proof._file(tmp_path / "again.mkv", "again", 10).faults
