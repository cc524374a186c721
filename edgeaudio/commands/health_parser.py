"""Options of `edgeaudio health`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgeaudio.commands.parser import add_config

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


def add_health(commands: Commands) -> None:
    """Add `health` to the command line."""
    health = commands.add_parser(
        "health",
        help="say whether the running agent moves",
        description="Ask the agent that runs on this machine how it is. Exit status 0 while all of its parts move, "
        "whatever cameras and broker do, else 2.",
    )
    add_config(health)
    health.add_argument("--json", action="store_true", help="print the whole health report as a JSON object instead")
    health.examples = ("edgeaudio health", "edgeaudio health --json")
    health.set_defaults(command=_health)


def _health(options: argparse.Namespace) -> int:
    from edgeaudio.commands import health

    return health.health(lambda: state_dir(options), as_json=options.json)


def state_dir(options: argparse.Namespace) -> Path:
    """Return the state directory of the settings. Raises SettingsError."""
    from edgeaudio.settings import load_settings

    return load_settings(options.config).state_dir
