"""An archive on Dask: what workers are sent beside jobs, and what they must have.

Owns: the model's files, which workers may lack, and the check that workers see the same place of results.
Does not know: how jobs are handed out (dask_runner.py).
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from distributed import get_worker

from edgeaudio.archive.dask_runner import run_on_dask
from edgeaudio.archive.dask_worker import Facts, libraries
from edgeaudio.archive.fetching import work_of
from edgeaudio.archive.job import Job, Outcome
from edgeaudio.archive.lengths import Neighbour
from edgeaudio.archive.once import Once
from edgeaudio.archive.places import DESCRIPTION, Place
from edgeaudio.archive.runs import Runner
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import read_regular
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME
from edgeaudio.recognise.manifest_file import read_manifest

MOST_MODEL_BYTES = 512 << 20


@dataclass(frozen=True)
class ModelFiles:
    """A model directory on the way to a worker."""

    digest: str
    files: dict[str, bytes] = field(repr=False)


def on_dask(scheduler: str, model: str, out: str) -> Runner:
    """Return what runs jobs on a Dask. `model`: the directory; `out`: the place of the results."""

    def run(work: Callable[[Job], Outcome], jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        return run_on_dask(
            work_of(Once(work)),
            map(_anywhere, jobs),
            scheduler=scheduler,
            shared=model_files(Path(model)),
            unpack=_with_model,
            facts=functools.partial(_facts, _absolute(out)),
        )

    return run


def model_files(directory: Path) -> ModelFiles:
    """Return what `load_model` reads. Raises EdgeaudioError."""
    names = [FILE_NAME, MODEL_FILE_NAME]
    if frontend := read_manifest(directory / FILE_NAME).input.frontend:
        names.append(frontend)
    digest = sha256()
    files = {}
    room = MOST_MODEL_BYTES
    for name in names:
        try:
            files[name] = read_regular(directory / name, room + 1)
        except OSError as error:
            raise EdgeaudioError(f"{directory / name}: cannot be read: {error.strerror}") from None
        room -= len(files[name])
        if room < 0:
            raise EdgeaudioError(f"{directory}: more than {MOST_MODEL_BYTES >> 20} MB are not sent to workers of Dask")
        digest.update(sha256(files[name]).digest())
    return ModelFiles(digest.hexdigest(), files)


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


def _facts(out: str) -> Facts:
    """Return what rows may depend on, and whether this machine sees the place: what others write there is lost."""
    try:
        Place(out).storage.read(DESCRIPTION)
        sees = "in sight"
    except OSError:
        sees = "not in sight"
    return libraries() | {f"the results' folder {out}": sees}


def _with_model(job: Job, model: ModelFiles) -> Job:
    """Return the job with the model directory of this worker. Raises OSError."""
    worker = get_worker()
    # Dask removes that folder, also what a killed worker left
    directory = _unpacked(model.digest, worker.local_directory, model)
    return replace(job, hearing=replace(job.hearing, model=directory))


_directories: dict[tuple[str, str], str] = {}


def _unpacked(digest: str, folder: str, model: ModelFiles) -> str:
    """Return the directory of a model, which is written for the first job of a worker."""
    if (known := _directories.get((digest, folder))) is not None:
        return known
    directory = Path(tempfile.mkdtemp(prefix="model-", dir=folder))
    for name, content in model.files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    return _directories.setdefault((digest, folder), str(directory))
