"""Jobs that may have been done by a worker that died before it reported them.

The process of a killed worker ends some milliseconds after it, and may still write a result that another worker is at
by then. Each writes a file of its own and renames it: the same rows, whole at any moment, once.

Does not know: Dask. Processes of jobs import this, and Dask would take 26 MB and a quarter of a second in each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from edgeaudio.archive.job import Job, Outcome
from edgeaudio.archive.rows import EVENT, RECORDING
from edgeaudio.archive.storage import storage_at


@dataclass(frozen=True)
class Once:
    """What is done with a job that has no result; the outcome of one that has is read from it."""

    run: Callable[[Job], Outcome]

    def __call__(self, job: Job) -> Outcome:
        try:
            with storage_at(job.out).open(job.result) as file, pq.ParquetFile(file) as result:
                table = result.read(["kind", "duration_s"])
            kinds = table["kind"].to_pylist()
            duration_s = table["duration_s"][kinds.index(RECORDING)].as_py()
        except (OSError, pa.ArrowException, LookupError, ValueError):  # none, or one that is damaged
            return self.run(job)
        return Outcome(job.key, job.recording, job.size_bytes, duration_s, kinds.count(EVENT))
