"""Jobs on the workers of any Dask: a LocalCluster, dask-jobqueue on Slurm, dask-kubernetes, the user's own.

Owns: the connection to the scheduler. Does not know: what a job is, which jobs are submitted when (dask_window.py).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dask
from distributed import Client
from distributed.security import Security

from edgeaudio.archive.dask_facts import Facts, libraries
from edgeaudio.archive.dask_window import GONE, Window
from edgeaudio.archive.packed import Packing
from edgeaudio.archive.work import Job, Outcome, Work
from edgeaudio.errors import EdgeaudioError
from edgeaudio.redact import mask
from edgeaudio.urls import UrlSyntaxError, split_url

CONNECT_S = 10.0
SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")


def as_it_is(shared: object) -> object:
    """Return what is shared: a worker adds nothing."""
    return shared


def unchanged(job: Job, _: object) -> Job:
    """Return the job: it is the same on every machine."""
    return job


def run_on_dask(
    work: Work[Job, Outcome],
    jobs: Iterable[Job],
    *,
    scheduler: str,
    shared: object = None,
    unpack: Callable[[Any], Any] = as_it_is,
    localize: Callable[[Job, Any], Job] = unchanged,
    facts: Callable[[], Facts] = libraries,
) -> Generator[Outcome, None, None]:
    """Yield the outcome of each job, as they come; closing the iterator ends what the workers are at.

    `shared` is sent to each worker once; there `unpack` makes it available, and `localize`, in the process of a job,
    puts into the job what `unpack` returned. `unpack` and `facts` are imported by workers, and should import little;
    all else is by the processes of jobs alone. A worker of other `facts` than this machine gets no job. Raises
    EdgeaudioError if the scheduler cannot be reached any more, or if no worker is like this machine.
    """
    with dask.config.set({"distributed.comm.timeouts.connect": CONNECT_S}), _connected(scheduler) as client:
        window = Window(client, scheduler, Packing(work, localize), shared, unpack, facts)
        yield from window.outcomes(iter(jobs))


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    """Yield a client. Raises EdgeaudioError."""
    _check_address(address)
    if address.startswith("tls://"):
        _check_certificates(address)
    for name in ("distributed", "distributed.client"):  # what they report is an error here, in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries whose versions differ: what matters is checked
            client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError, ImportError) as error:
        reason = _first_cause(error)
        raise EdgeaudioError(
            f"{mask(address)}: no scheduler of Dask answers there: {reason}; start one, or leave --scheduler out"
        ) from None
    try:
        yield client
    finally:
        with suppress(*GONE):
            client.close(timeout=CONNECT_S)


def _check_certificates(address: str) -> None:
    """Raise EdgeaudioError unless Dask's settings have certificates: it would raise a TypeError, and then hang."""
    try:
        context = Security().get_connection_args("client")["ssl_context"]
    except (OSError, ValueError) as error:
        reason = _first_cause(error)
    else:
        if context is not None:
            return
        reason = "none are set"
    raise EdgeaudioError(
        f"{mask(address)}: Dask's certificates cannot be used: {reason}; set distributed.comm.tls.ca-file, "
        "client.cert and client.key in Dask's settings (docs/archives.md)"
    )


def _first_cause(error: BaseException) -> str:
    """Return in words what all of Dask's errors began with."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = error.strerror if isinstance(error, OSError) else None
    return words or mask(" ".join(str(error).split())) or "no answer"


def _check_address(address: str) -> None:
    advice = "write the one that the scheduler prints when it starts, as in tcp://10.0.0.5:8786"
    try:
        url = split_url(address)
    except UrlSyntaxError:
        raise EdgeaudioError(f"--scheduler: that is no address; {advice}") from None
    if url.has_login or url.scheme not in SCHEMES or not url.host or url.port is None:
        raise EdgeaudioError(f"--scheduler: {mask(address)} is no address of a scheduler; {advice}")
