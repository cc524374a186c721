"""A model on its way to the workers of a Dask, which may lack it. Does not know: how a model is read."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from distributed import get_worker


@dataclass(frozen=True)
class ModelFiles:
    """A model directory as it is sent."""

    digest: str
    files: dict[str, bytes] = field(repr=False)


def unpacked(model: ModelFiles) -> str:
    """Return the model directory of this worker, which is written for its first job. Raises OSError."""
    folder = get_worker().local_directory  # Dask removes it, also what a killed worker left
    if (known := _directories.get((model.digest, folder))) is not None:
        return known
    directory = Path(tempfile.mkdtemp(prefix="model-", dir=folder))
    for name, content in model.files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    return _directories.setdefault((model.digest, folder), str(directory))


_directories: dict[tuple[str, str], str] = {}
