"""The SOURCE argument of `probe`, `score` and `transcribe`: an address, or the name of a source in the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.errors import SourceError
from edgeaudio.errors import EdgeaudioError
from edgeaudio.urls import holds_login

if TYPE_CHECKING:
    from edgeaudio.settings import Settings


def find_source(target: str, settings: Settings | None) -> tuple[SourceConfig, str | None]:
    """Return the configuration of the target, and its name if it is a source of the settings.

    A file of that name precedes a source of that name. `settings`: None if nothing is set. Raises EdgeaudioError.
    """
    sources = {} if settings is None else settings.sources
    if target in sources and not _is_there(target):
        from edgeaudio.wiring import source_config  # noqa: PLC0415 (knows all rooms, and takes their memory)

        return source_config(target, sources[target]), target
    if holds_login(target) and not _is_there(target):
        raise EdgeaudioError(
            "a login here would show in the process list; "
            "write it into the settings, and give the source's name, as in --config edgeaudio.toml porch"
        )
    config = SourceConfig(name="given", url=target)
    if config.address.path is not None and not _is_there(config.address.path):
        named = ", ".join(sources)
        hint = f"; sources of the settings: {named}" if named else ""
        raise EdgeaudioError(f"{config.address}: no such file{hint}")
    return config, None


def _is_there(path: str | Path) -> bool:
    """True if a file has that name, also one without permission: opening it gives the reason."""
    try:
        Path(path).stat()
    except PermissionError:
        return True
    except (OSError, ValueError):  # no possible name of a file: too long, a NUL
        return False
    return True


def failure_line(error: SourceError) -> str:
    """Return address, reason and hint of a source that failed. Its name is left out: the user has just given it."""
    return "; ".join(filter(None, [f"{error.url}: {error.detail}", error.hint]))
