"""Recordings that lie elsewhere, fetched while the one before is listened to: whole, and the ends of its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from edgeaudio.archive.borders import after_s, first_before
from edgeaudio.archive.endings import HEAD_BYTES, bytes_of
from edgeaudio.archive.job import Job, Outcome
from edgeaudio.archive.lengths import Neighbour
from edgeaudio.archive.storage import is_local
from edgeaudio.archive.work import Work
from edgeaudio.recognise.fused_model import member_directory
from edgeaudio.recognise.manifest import FILE_NAME, Manifest
from edgeaudio.recognise.manifest_file import read_manifest


@contextmanager
def fetched(job: Job) -> Iterator[Job]:
    """Yield the job with recordings of this machine. Raises OSError, EdgeaudioError."""
    if is_local(job.source):
        yield job
        return
    from edgeaudio.archive.storage_s3 import local_copy  # noqa: PLC0415 (Arrow's S3 takes memory, and few have it)

    with ExitStack() as held:
        manifests = _manifests(job.hearing.model)
        yield replace(
            job,
            source=str(held.enter_context(local_copy(job.source))),
            before=_end_of(job.before, manifests, held),
            after=_head_of(job.after, manifests[0], held),
        )


@lru_cache(maxsize=1)
def _manifests(model: str) -> list[Manifest]:
    """Return the manifest of a model, and those of its members."""
    directory = Path(model)
    own = read_manifest(directory / FILE_NAME)
    return [own, *(read_manifest(member_directory(section, directory) / FILE_NAME) for section in own.fuse)]


def _end_of(before: Neighbour | None, manifests: Sequence[Manifest], held: ExitStack) -> Neighbour | None:
    if before is None:
        return None
    length = before.length
    end_s = (length.n_samples - first_before(manifests, length)) / length.sample_rate
    return _with_ends(before, HEAD_BYTES, bytes_of(end_s, length), held)


def _head_of(after: Neighbour | None, manifest: Manifest, held: ExitStack) -> Neighbour | None:
    return None if after is None else _with_ends(after, HEAD_BYTES + bytes_of(after_s(manifest), after.length), 0, held)


def _with_ends(neighbour: Neighbour, head_bytes: int, tail_bytes: int, held: ExitStack) -> Neighbour:
    """Return a neighbour of which these bytes are here; one that is gone costs the border alone."""
    from edgeaudio.archive.storage_s3 import local_ends  # noqa: PLC0415 (as above)

    try:
        path = held.enter_context(local_ends(neighbour.source, head_bytes, tail_bytes))
    except FileNotFoundError:
        return neighbour
    return replace(neighbour, source=str(path))


def work_of(run: Callable[[Job], Outcome]) -> Work[Job, Outcome]:
    """Return how processes do a job."""
    return Work(run=run, failed=Outcome.failed, unstarted=partial(Outcome.failed, ends_run=True), fetch=fetched)
