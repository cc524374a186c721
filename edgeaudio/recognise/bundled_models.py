"""Models that are bundled with edgeaudio, by name."""

from __future__ import annotations

import os
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import FILE_NAME

DEFAULT_MODEL = "home"

_PACKAGE = Path(__file__).resolve().parents[1]
# in an installed package, and in a checkout of the sources
_PLACES = (_PACKAGE / "models", _PACKAGE.parent / "models")


def bundled_models() -> dict[str, Path]:
    """Return the directories of the bundled models, by name."""
    found: dict[str, Path] = {}
    for place in _PLACES:
        for manifest in sorted(place.glob(f"*/{FILE_NAME}")):
            found.setdefault(manifest.parent.name, manifest.parent)
    return found


def find_model(name_or_path: str | Path) -> Path:
    """Return the directory of a bundled model, or the path itself. Raises EdgeaudioError."""
    path = Path(name_or_path)
    bundled = bundled_models()
    # services run in /, where "home" is a directory that holds no model and may not be readable
    if os.path.isdir(path) and (  # noqa: PTH112 (pathlib's raises for a path through an unreadable directory)
        str(name_or_path) not in bundled or any(path.glob(FILE_NAME))
    ):
        return path
    # the error does not repeat the text, which may hold a login
    if any(part.endswith(":") or ("@" in part and ":" in part.partition("@")[0]) for part in path.parts):
        raise EdgeaudioError("a model is a directory, or the name of a bundled one, and no address")
    if len(path.parts) > 1:
        return path
    if str(name_or_path) not in bundled:
        names = ", ".join(bundled) or "none"
        raise EdgeaudioError(
            f"model {str(name_or_path)!r} is neither a directory nor one of the bundled models ({names})"
        )
    return bundled[str(name_or_path)]
