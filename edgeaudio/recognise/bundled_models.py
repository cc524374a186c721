"""Models by name: those that are bundled with edgeaudio, and those that were added to it."""

from __future__ import annotations

import os
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import FILE_NAME
from edgeaudio.slugs import is_slug
from edgeaudio.state_dir import models_dir

DEFAULT_MODEL = "home"

_PACKAGE = Path(__file__).resolve().parents[1]
# in an installed package, and in a checkout of the sources
_PLACES = (_PACKAGE / "models", _PACKAGE.parent / "models")


def bundled_models() -> dict[str, Path]:
    """Return the directories of the bundled models, by name."""
    return _models_in(*_PLACES)


def added_models(folder: Path | None = None) -> dict[str, Path]:
    """Return the directories of the models that `edgeaudio model add` has added, by name; none that may not be read."""
    return _models_in(models_dir() if folder is None else folder)


def find_model(name_or_path: str | Path) -> Path:
    """Return the path itself, or the directory of an added or a bundled model. Raises EdgeaudioError."""
    path = Path(name_or_path)
    known = bundled_models() | added_models()
    # services run in /, where "home" is a directory that holds no model and may not be readable
    if os.path.isdir(path) and (  # noqa: PTH112 (pathlib's raises for a path through an unreadable directory)
        str(name_or_path) not in known or any(path.glob(FILE_NAME))
    ):
        return path
    # the error does not repeat the text, which may hold a login
    if any(part.endswith(":") or ("@" in part and ":" in part.partition("@")[0]) for part in path.parts):
        raise EdgeaudioError("a model is a directory, or the name of a bundled or an added one, and no address")
    if len(path.parts) > 1:
        return path
    if str(name_or_path) not in known:
        names = ", ".join(sorted(known)) or "none"
        raise EdgeaudioError(
            f"model {str(name_or_path)!r} is neither a directory nor one of the models here ({names}); "
            "`edgeaudio model add --list` shows which can be added"
        )
    return known[str(name_or_path)]


def _models_in(*places: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place in places:
        for manifest in sorted(place.glob(f"*/{FILE_NAME}")):  # finds nothing in a folder that may not be read
            # a folder with another name is half of one: it is being added or removed
            if is_slug(manifest.parent.name):
                found.setdefault(manifest.parent.name, manifest.parent)
    return found
