"""The extra that every action of `edgeaudio archive` needs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

from edgeaudio.extras import require_extra

_PACKAGES: Final = ("duckdb", "pyarrow")
_OF_DASK: Final = ("dask", "distributed")


def needing_extra(action: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Return an action that first raises EdgeaudioError if its packages are missing. Only `--scheduler` needs Dask."""

    def checked(options: argparse.Namespace) -> int:
        by_dask = getattr(options, "scheduler", None) is not None
        require_extra("archive", (*_PACKAGES, *_OF_DASK) if by_dask else _PACKAGES, "archive")
        return action(options)

    return checked
