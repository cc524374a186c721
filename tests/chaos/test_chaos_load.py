"""The measurement of an agent at work in its short form, and that it can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from chaos.load import load


def test_an_agent_hears_all_of_a_camera_with_its_own_threads_alone(tmp_path: Path) -> None:
    (found,) = load(tmp_path, short=True)
    assert found.faults == ()
    assert 0 < found.own_memory_mb <= found.memory_mb
    assert replace(found, lost_s=2.0).faults
    assert replace(found, threads=found.threads + 5).faults
