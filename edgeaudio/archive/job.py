"""One recording to one file of results: the function that every way of running calls, wherever it runs.

Owns: `Job`, `Outcome`, and `run_job`, whose rows depend on the job alone. Does not know: other jobs, who runs them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from edgeaudio.archive.blocks import long_blocks
from edgeaudio.archive.hearing import Hearing, binding_of, loaded_model
from edgeaudio.archive.result_file import ResultFile
from edgeaudio.archive.storage import local_copy, storage_at
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.pipeline import SourcePipeline

SOURCE_NAME = "archive"


@dataclass(frozen=True, slots=True)
class Job:
    """A recording to be listened to, with all that its rows depend on."""

    key: str  # of path, size and time of change: the name of its result
    recording: str  # path below the archive's root, with slashes
    source: str  # where it can be read
    size_bytes: int
    changed_ns: int
    begins_at: datetime  # aware UTC, of its first sample
    hearing: Hearing
    out: str  # the place of the results

    @property
    def result(self) -> str:
        """Name of its result, in its place."""
        return f"parts/{self.begins_at:%Y-%m}/{self.key}.parquet"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: a result, or one line that says why there is none."""

    key: str
    recording: str
    size_bytes: int = 0  # of the recording
    duration_s: float = 0.0  # of what was listened to
    events: int = 0
    error: str | None = None
    ends_run: bool = False  # the error is of the place of results, and every other job would have it too

    @classmethod
    def failed(cls, job: Job, error: str, *, ends_run: bool = False) -> Outcome:
        """Return the outcome of a job without a result, with the reason in one line."""
        return cls(job.key, job.recording, job.size_bytes, error=error, ends_run=ends_run)


def run_job(job: Job) -> Outcome:
    """Listen to a recording and write its result. Never raises for what is wrong with a recording or a disk."""
    try:
        model = loaded_model(job.hearing)
    except EdgeaudioError as error:
        return Outcome.failed(job, str(error), ends_run=True)
    try:
        with local_copy(job.source) as path:
            _check_unchanged(job, path)
            with ResultFile(job.key, job.recording, job.begins_at, model.manifest, job.hearing.scores_floor) as result:
                pipeline = SourcePipeline(
                    SOURCE_NAME,
                    [binding_of(job.hearing, model)],
                    namespace=UUID(int=0),
                    gate_dbfs=job.hearing.gate_dbfs,
                    channel=job.hearing.channel,
                )
                _listen(job, path, pipeline, result)
                _check_unchanged(job, path)
                return _written(job, result)
    except SourceError as error:
        return Outcome.failed(job, error.explanation)
    except EdgeaudioError as error:
        return Outcome.failed(job, str(error))
    except OSError as error:
        return Outcome.failed(job, f"cannot be read: {error.strerror or error}")
    except MemoryError:
        return Outcome.failed(job, "takes more memory than there is; listen with fewer workers")
    except Exception as error:  # noqa: BLE001 (one recording's fault must not end the run; the line names it)
        return Outcome.failed(job, f"a fault of edgeaudio: {type(error).__name__}: {error}")


def _listen(job: Job, path: Path, pipeline: SourcePipeline, result: ResultFile) -> None:
    """Add all that is heard to the result. Raises SourceError, for a recording that is cut off as well."""
    config = SourceConfig(name=SOURCE_NAME, url=str(path), channel=job.hearing.channel)
    with open_source(config, threading.Event(), media_start=job.begins_at) as connection:
        for block in long_blocks(connection):
            for found in pipeline.feed(block):
                result.add(found)
            result.heard(block)
    for found in pipeline.flush():
        result.add(found)


def _written(job: Job, result: ResultFile) -> Outcome:
    """Write the result under its name, whole or not at all."""
    try:
        result.write(storage_at(job.out), job.result)
    except OSError as error:
        line = f"{job.out}: results cannot be written: {error.strerror or error}; make room, then run again"
        return Outcome.failed(job, line, ends_run=True)
    return Outcome(job.key, job.recording, job.size_bytes, result.duration_s, result.events)


def _check_unchanged(job: Job, path: Path) -> None:
    """Raise EdgeaudioError if the file is another one than was planned: its result would lie under a wrong key."""
    if "://" in job.source:
        return
    try:
        found = path.stat()
    except OSError as error:
        raise EdgeaudioError(f"cannot be read: {error.strerror}") from None
    if (found.st_size, found.st_mtime_ns) != (job.size_bytes, job.changed_ns):
        raise EdgeaudioError("was changed meanwhile; run again when it is complete")
