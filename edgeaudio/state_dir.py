"""Where state is kept unless settings name another place, and the folder of added models.

Owns: what the agent, its services and the commands must find in one place without reading settings.
"""

from __future__ import annotations

import os
from pathlib import Path

STATE_DIR_VARIABLE = "EDGEAUDIO_STATE_DIR"  # also a setting
MODELS_DIR_VARIABLE = "EDGEAUDIO_MODELS_DIR"


def default_state_dir() -> Path:
    """Return systemd's state directory, else the user's; /var/lib/edgeaudio for root and for users without a home."""
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.partition(":")[0])
    home = os.path.expanduser(os.environ.get("XDG_STATE_HOME") or "~/.local/state")  # noqa: PTH111 (pathlib's raises)
    if os.geteuid() == 0 or not home.startswith("/"):
        return Path("/var/lib/edgeaudio")
    return Path(home, "edgeaudio")


def models_dir() -> Path:
    """Return the folder of added models: EDGEAUDIO_MODELS_DIR, else `models` in EDGEAUDIO_STATE_DIR or in the default.

    A settings file that names another `state_dir` does not move it: commands that read no settings look here too.
    """
    given = {name.upper(): value for name, value in os.environ.items() if value}
    if folder := given.get(MODELS_DIR_VARIABLE):
        return Path(folder).absolute()
    state = given.get(STATE_DIR_VARIABLE)
    return (Path(state).absolute() if state else default_state_dir()) / "models"
