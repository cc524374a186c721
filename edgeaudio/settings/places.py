"""Where settings may be written, without reading them: of the standard library alone.

Owns: the names of the variables, which file is read, and whether anything can have been set at all.
Does not know: settings, or the libraries that read them, which take 18 MB: a command that needs none does without.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgeaudio.state_dir import MODELS_DIR_VARIABLE

PREFIX = "EDGEAUDIO_"
CONFIG_VARIABLE = "EDGEAUDIO_CONFIG"  # names the file, and is no setting itself
COLLECT_DATABASE_VARIABLE = "EDGEAUDIO_COLLECT_DATABASE"  # of `collect`; no setting either
FLEET_DATABASE_VARIABLE = "EDGEAUDIO_FLEET_DATABASE"  # of `dashboard`; no setting either
NO_SETTINGS = frozenset({CONFIG_VARIABLE, COLLECT_DATABASE_VARIABLE, FLEET_DATABASE_VARIABLE, MODELS_DIR_VARIABLE})
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"  # systemd's


def config_path(path: Path | None) -> Path | None:
    """Return the settings file: as named, else EDGEAUDIO_CONFIG, else /etc/edgeaudio/edgeaudio.toml if it exists."""
    if path is not None:
        return path
    for name, value in os.environ.items():  # in upper or lower case, as the settings' variables
        if name.upper() == CONFIG_VARIABLE and value:
            return Path(value)
    usual = Path("/etc/edgeaudio/edgeaudio.toml")
    try:
        usual.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # reading it says why
    return usual


def nothing_is_set(path: Path | None, options: Sequence[str]) -> bool:
    """True if there is no place that could hold a setting: all have their defaults."""
    if options or config_path(path) is not None or os.environ.get(CREDENTIALS_VARIABLE):
        return False
    return not any(value and name.upper().startswith(PREFIX) for name, value in os.environ.items())
