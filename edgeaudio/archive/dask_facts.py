"""What a worker of Dask must have in common with this machine, so that the same rows come out.

Owns: the facts, and how workers are asked for them. Does not know: jobs, what follows for a worker that differs.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from distributed import Client

from edgeaudio.archive.storage import storage_at
from edgeaudio.redact import mask

_LIBRARIES = ("numpy", "av", "ai-edge-litert", "tflite-runtime")  # on which rows may depend

Facts = dict[str, str]


def libraries() -> Facts:
    """Return all that rows may depend on beside a job: the kind of processor, and versions of libraries."""
    return {"processor": platform.machine()} | {name: found for name in _LIBRARIES if (found := _version(name))}


def libraries_and_sight(out: str, name: str) -> Facts:
    """Return `libraries`, and whether this machine sees a file of the results: what others write there is lost."""
    try:
        storage_at(out).read(name)
        sees = "in sight"
    except OSError:
        sees = "not in sight"
    return libraries() | {f"the results' folder {out}": sees}


def differences(client: Client, workers: set[str], ask: Callable[[], Facts], wanted: Facts) -> dict[str, str]:
    """Return what is different on workers where something is. Raises what a client raises."""
    # Dask's own question first: no code of ours reaches a worker without edgeaudio, or with another Python
    versions = client.get_versions(packages=["edgeaudio"])
    here = _plain_facts(versions["client"])
    found = {
        worker: difference(_plain_facts(each), here)
        for worker, each in versions["workers"].items()
        if worker in workers
    }
    if equal := [worker for worker, words in found.items() if not words]:
        answers = client.run(ask, workers=equal, on_error="return")
        found |= {
            worker: difference(each, wanted) if isinstance(each, dict) else words_of(each)
            for worker, each in answers.items()
        }
    return {worker: words for worker, words in found.items() if words}


def difference(found: Facts, wanted: Facts) -> str:
    """Return in words what differs; empty if nothing does."""
    names = sorted(name for name in found.keys() | wanted if found.get(name) != wanted.get(name))
    return ", ".join(f"{name} {found.get(name, 'none')} (here {wanted.get(name, 'none')})" for name in names)


def words_of(error: BaseException | None) -> str:
    """Return an error of a worker in one line."""
    return mask(" ".join(f"{type(error).__name__}: {error}".split()))


def _plain_facts(versions: dict[str, Any]) -> Facts:
    """Return what must be the same before any code of ours is sent."""
    python = ".".join(str(versions["host"]["python"]).split(".")[:2])
    return {"edgeaudio": versions["packages"].get("edgeaudio") or "none", "Python": python}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
