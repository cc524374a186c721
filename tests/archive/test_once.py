"""A job of which a worker that died may have left a result."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.archives import START

from edgeaudio.archive.hearing import hearing_of
from edgeaudio.archive.job import Job, Outcome
from edgeaudio.archive.once import Once


@pytest.mark.parametrize("damage", ["cut", "other columns", "no recording", "none"])
def test_a_result_that_cannot_be_read_is_made_again(tmp_path: Path, model: str, damage: str) -> None:
    hearing = hearing_of(model, gate_dbfs=-60.0, channel="auto", scores_floor=None, thresholds={})
    job = Job("key", "a.wav", str(tmp_path / "a.wav"), 1, 1, START, hearing, str(tmp_path))
    result = tmp_path / job.result
    result.parent.mkdir(parents=True)
    columns = {"x": [1]} if damage == "other columns" else {"kind": ["event"], "duration_s": [1.0]}
    if damage != "none":
        pq.write_table(pa.table(columns), result)
    if damage == "cut":
        result.write_bytes(result.read_bytes()[:-20])
    again = Outcome.failed(job, "listened to")
    assert Once(lambda _: again)(job) is again
