"""The sound that `probe` and `score` are pointed at: an address, or a source of the settings by its name.

Owns: that choice. Does not know: what is done with the sound.
"""

from __future__ import annotations

from pathlib import Path

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.errors import SourceError
from edgeaudio.errors import EdgeaudioError
from edgeaudio.settings import Settings
from edgeaudio.urls import holds_login
from edgeaudio.wiring import source_config


def find_source(target: str, settings: Settings) -> tuple[SourceConfig, str | None]:
    """How to open the target, and its name where it is a source of the settings.

    A file of that name goes before a source of that name. Raises EdgeaudioError.
    """
    if target in settings.sources and not _is_there(target):
        return source_config(target, settings.sources[target]), target
    if holds_login(target) and not _is_there(target):
        raise EdgeaudioError(
            "a login here would show in the process list; "
            "write it into the settings, and give the source's name, as in --config edgeaudio.toml porch"
        )
    config = SourceConfig(name="given", url=target)
    if config.address.path is not None and not _is_there(config.address.path):
        named = ", ".join(settings.sources)
        hint = f"; sources of the settings: {named}" if named else ""
        raise EdgeaudioError(f"{config.address}: no such file{hint}")
    return config, None


def _is_there(path: str | Path) -> bool:
    """Whether a file has that name; True also for one that must not be looked at, which opening it tells."""
    try:
        Path(path).stat()
    except PermissionError:
        return True
    except (OSError, ValueError):  # of no file's name: too long, a NUL
        return False
    return True


def told(error: SourceError) -> str:
    """What to tell of a source that fails: without its name, for whoever asks knows which was asked for."""
    return "; ".join(filter(None, [f"{error.url}: {error.detail}", error.hint]))
