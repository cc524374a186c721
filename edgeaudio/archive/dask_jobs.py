"""An archive on Dask: which jobs are sent, and the model beside them.

Owns: paths that hold on any machine, reading the model's files.
Does not know: how jobs are handed out (dask_runner.py).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from edgeaudio.archive.dask_facts import libraries_and_sight
from edgeaudio.archive.dask_model import ModelFiles, unpacked
from edgeaudio.archive.dask_runner import run_on_dask
from edgeaudio.archive.fetching import work_of
from edgeaudio.archive.job import Job, Outcome
from edgeaudio.archive.lengths import Neighbour
from edgeaudio.archive.once import Once
from edgeaudio.archive.places import DESCRIPTION
from edgeaudio.archive.runs import Runner
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import read_regular
from edgeaudio.recognise.fused_model import member_directory
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME
from edgeaudio.recognise.manifest_file import read_manifest

MOST_MODEL_BYTES = 512 << 20


def on_dask(scheduler: str, model: str, out: str) -> Runner:
    """Return what runs jobs on a Dask. `model`: the directory; `out`: the place of the results."""

    def run(work: Callable[[Job], Outcome], jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        return run_on_dask(
            work_of(Once(work)),
            map(_anywhere, jobs),
            scheduler=scheduler,
            shared=model_files(Path(model)),
            unpack=unpacked,
            localize=_with_model,
            facts=partial(libraries_and_sight, _absolute(out), DESCRIPTION),
        )

    return run


def model_files(directory: Path) -> ModelFiles:
    """Return what `load_model` reads. Raises EdgeaudioError."""
    digest = sha256()
    files = {}
    room = MOST_MODEL_BYTES
    for name, path in _paths(directory):
        try:
            files[name] = read_regular(path, room + 1)
        except OSError as error:
            raise EdgeaudioError(f"{path}: cannot be read: {error.strerror}") from None
        room -= len(files[name])
        if room < 0:
            raise EdgeaudioError(f"{directory}: more than {MOST_MODEL_BYTES >> 20} MB are not sent to workers of Dask")
        digest.update(sha256(files[name]).digest())
    return ModelFiles(digest.hexdigest(), files)


def _paths(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a model: name below the directory that is sent, and where it lies; members in theirs."""
    manifest = read_manifest(directory / FILE_NAME)
    names = [FILE_NAME] if manifest.fuse else [FILE_NAME, MODEL_FILE_NAME]
    if manifest.input.frontend:
        names.append(manifest.input.frontend)
    yield from ((name, directory / name) for name in names)
    for section in manifest.fuse:
        for name, path in _paths(member_directory(section, directory)):
            yield f"{section.model}/{name}", path


def _anywhere(job: Job) -> Job:
    """Return the job with paths that do not depend on where a process was started."""
    return replace(
        job,
        source=_absolute(job.source),
        out=_absolute(job.out),
        before=_neighbour(job.before),
        after=_neighbour(job.after),
    )


def _neighbour(neighbour: Neighbour | None) -> Neighbour | None:
    return None if neighbour is None else replace(neighbour, source=_absolute(neighbour.source))


def _absolute(address: str) -> str:
    return address if "://" in address else str(Path(address).absolute())


def _with_model(job: Job, directory: str) -> Job:
    """Return the job with the model directory of a worker."""
    return replace(job, hearing=replace(job.hearing, model=directory))
