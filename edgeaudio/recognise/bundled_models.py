"""Where the models are that come with edgeaudio.

Owns: the search. Does not know: what is in a model.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import FILE_NAME

SHIPPED_MODEL = "home"  # the one that runs where none is named

_PACKAGE = Path(__file__).resolve().parents[1]
# in an installed package, and in a checkout of the sources
_PLACES = (_PACKAGE / "models", _PACKAGE.parent / "models")


def shipped_models() -> dict[str, Path]:
    """Directories of the shipped models, by name."""
    found: dict[str, Path] = {}
    for place in _PLACES:
        for manifest in sorted(place.glob(f"*/{FILE_NAME}")):
            found.setdefault(manifest.parent.name, manifest.parent)
    return found


def find_model(name_or_path: str | Path) -> Path:
    """The directory of a shipped model by its name, or the path as it is. Raises EdgeaudioError."""
    path = Path(name_or_path)
    shipped = shipped_models()
    # a service works in /, where "home" is a folder too, but no model; nor may it look into that (glob tells no reason)
    if os.path.isdir(path) and (  # noqa: PTH112 (pathlib's raises where a folder on the way is closed)
        str(name_or_path) not in shipped or any(path.glob(FILE_NAME))
    ):
        return path
    # not said again, for it may hold a login
    if any(part.endswith(":") or ("@" in part and ":" in part.partition("@")[0]) for part in path.parts):
        raise EdgeaudioError("a model is a directory, or the name of a shipped one, and no address")
    if len(path.parts) > 1:
        return path
    if str(name_or_path) not in shipped:
        names = ", ".join(shipped) or "none"
        raise EdgeaudioError(
            f"model {str(name_or_path)!r} is neither a directory nor one of the shipped models ({names})"
        )
    return shipped[str(name_or_path)]
