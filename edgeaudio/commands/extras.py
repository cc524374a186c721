"""Optional parts of the package: a command that needs one says so before it begins, in one line."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from edgeaudio.errors import EdgeaudioError


def require_extra(extra: str, packages: Sequence[str], what: str) -> None:
    """Raise EdgeaudioError if one of the packages of an extra is missing; `what` needs them, as in "collect"."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise EdgeaudioError(
            f"{what} needs {', '.join(missing)}: install the extra, as in pip install 'edgeaudio[{extra}]'"
        )
