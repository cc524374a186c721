"""Odd and hostile servers beside a good camera, in the proof's short form, and that it can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.servers import servers


@pytest.mark.slow
def test_each_server_is_told_for_what_it_is_and_costs_a_good_camera_nothing(tmp_path: Path) -> None:
    rows = servers(tmp_path, short=True)
    assert [fault for row in rows for fault in row.faults] == []
    assert rows[-1].source == "a good camera"
    assert replace(rows[-1], told="harmed").faults
