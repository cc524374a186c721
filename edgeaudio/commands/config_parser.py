"""Subcommands and options of `edgeaudio config`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


def add_config_command(commands: Commands) -> None:
    """Add `config` and its subcommand to the command line."""
    config = commands.add_parser(
        "config",
        help="bring a settings file or a model's manifest up to date",
        description="Rewrite settings files and manifests.",
    )
    config.examples = ("edgeaudio config migrate edgeaudio.toml",)
    actions = config.add_subparsers(title="actions", metavar="ACTION", required=True)
    migrate = actions.add_parser(
        "migrate",
        help="rewrite a file with the names of this version",
        description="Rewrite a settings file, or the manifest of a model, with the names of this version in place of "
        "those of earlier ones, and say what was changed. Comments and all else stay as they are. Keep a copy where "
        "you may go back to an earlier version.",
    )
    migrate.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE|DIR",
        help="a settings file, or a model's directory (default: $EDGEAUDIO_CONFIG, else "
        "/etc/edgeaudio/edgeaudio.toml if it is there)",
    )
    migrate.examples = ("edgeaudio config migrate edgeaudio.toml", "edgeaudio config migrate ./birds")
    migrate.set_defaults(command=_migrate)


def _migrate(options: argparse.Namespace) -> int:
    from edgeaudio.commands import config

    return config.migrate(options.file)
