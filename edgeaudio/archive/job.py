"""One recording to one file of results: the function that every way of running calls, wherever it runs.

Owns: `Job`, `Outcome`, and `run_job`, whose rows depend on the job alone. Does not know: other jobs, who runs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from edgeaudio.archive.advance import advance
from edgeaudio.archive.blocks import long_blocks
from edgeaudio.archive.borders import SOURCE_NAME, blocks_of, head_of, scores_before
from edgeaudio.archive.hearing import Hearing, binding_of, loaded_model, manifests_of
from edgeaudio.archive.lengths import Neighbour
from edgeaudio.archive.result_file import ResultFile
from edgeaudio.archive.storage import remedy, storage_at
from edgeaudio.capture.errors import SourceError
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.recognise.pipeline import Result, Scorer, SourcePipeline, detector_of
from edgeaudio.types import Block, Scores


@dataclass(frozen=True, slots=True)
class Job:
    """A recording to be listened to, with all that its rows depend on."""

    key: str  # of all that its rows depend on (keys.py): the name of its result
    recording: str  # path below the archive's root, with slashes
    source: str  # where it can be read; as are its neighbours, it is of this machine once it is fetched (fetching.py)
    size_bytes: int
    changed_ns: int
    begins_at: datetime  # aware UTC, of its first sample
    hearing: Hearing
    out: str  # the place of the results
    before: Neighbour | None = None  # the recording that ends where this one begins
    after: Neighbour | None = None  # and the one that begins where it ends

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
    """Listen to a recording of this machine, and write its result.

    Never raises for what is wrong with a recording or a disk.
    """
    try:
        model = loaded_model(job.hearing)
    except EdgeaudioError as error:
        return Outcome.failed(job, str(error), ends_run=True)
    try:
        path = Path(job.source)
        _check_unchanged(job, path)
        with ResultFile(job.key, job.recording, job.begins_at, model.manifest, job.hearing.scores_floor) as result:
            _listen(job, path, model, result)
            _check_unchanged(job, path)
            return _written(job, result)
    except Exception as error:  # noqa: BLE001 (one recording's fault must not end the run; the line names it)
        return Outcome.failed(job, _line_of(error))


def _line_of(error: Exception) -> str:
    """Return in one line why there is no result."""
    match error:
        case SourceError():
            return error.explanation
        case EdgeaudioError():
            return str(error)
        case OSError():
            return f"cannot be read: {error.strerror or error}"
        case MemoryError():
            return "takes more memory than there is; listen with fewer workers"
        case _:
            return f"a fault of edgeaudio: {type(error).__name__}: {error}"


def _listen(job: Job, path: Path, model: Scorer, result: ResultFile) -> None:
    """Add all that is heard to the result. Raises SourceError, for a recording that is cut off as well."""
    hearing, manifest = job.hearing, model.manifest
    binding = binding_of(hearing, model)
    detector = detector_of(binding, UUID(int=0))

    def pipeline() -> SourcePipeline:
        return SourcePipeline(
            SOURCE_NAME,
            [binding],
            namespace=UUID(int=0),
            gate_dbfs=hearing.gate_dbfs,
            channel=hearing.channel,
            scores_only=True,
        )

    if job.before is not None:
        for scores in scores_before(job.before, path, job.begins_at, manifests_of(model), pipeline(), hearing.channel):
            result.add_before(detector.feed(scores), job.before.length.seconds)
    epoch = 0
    for scores in _own_scores(job, path, manifest, pipeline(), result):
        if scores.epoch != epoch:  # sound is missing between them
            result.add(detector.end())
            epoch = scores.epoch
        result.add_scores(scores)
        result.add(detector.feed(scores))
    result.add_last(detector.end())


def _own_scores(
    job: Job, path: Path, manifest: Manifest, pipeline: SourcePipeline, result: ResultFile
) -> Iterator[Scores]:
    """Yield the scores of all clips that begin in the recording. Raises SourceError."""
    last: Block | None = None
    lengths_s: list[float | None] = []
    for block in long_blocks(blocks_of(path, job.hearing.channel, job.begins_at, opened=lengths_s.append)):
        yield from _scores_in(pipeline.feed(block))
        result.heard(block)
        advance(result.duration_s, lengths_s[0])
        last = block
    if job.after is not None and last is not None:
        own_s = (last.offset + len(last.samples)) / last.sample_rate
        for block in head_of(job.after, last, manifest, job.hearing.channel):
            result.goes_on = True
            yield from (scores for scores in _scores_in(pipeline.feed(block)) if scores.offset_s < own_s)
    if not result.goes_on:
        yield from _scores_in(pipeline.flush())


def _scores_in(results: Iterable[Result]) -> Iterator[Scores]:
    return (result for result in results if isinstance(result, Scores))


def _written(job: Job, result: ResultFile) -> Outcome:
    """Write the result under its name, whole or not at all."""
    try:
        result.write(storage_at(job.out), job.result)
    except OSError as error:
        line = f"{job.out}: results cannot be written: {error.strerror or error}; {remedy(error)}"
        return Outcome.failed(job, line, ends_run=True)
    return Outcome(job.key, job.recording, job.size_bytes, result.duration_s, result.events)


def _check_unchanged(job: Job, path: Path) -> None:
    """Raise EdgeaudioError if the file is another one than was planned: its result would lie under a wrong key."""
    try:
        found = path.stat()
    except OSError as error:
        raise EdgeaudioError(f"cannot be read: {error.strerror}") from None
    if (found.st_size, found.st_mtime_ns) != (job.size_bytes, job.changed_ns):
        raise EdgeaudioError("was changed meanwhile; run again when it is complete")
