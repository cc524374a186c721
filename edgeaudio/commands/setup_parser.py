"""Options of `edgeaudio setup`."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


def add_setup(commands: Commands) -> None:
    """Add `setup` to the command line."""
    setup = commands.add_parser(
        "setup",
        help="ask for broker and cameras, try them, and write the settings file",
        description="Ask for the broker and for cameras, which are looked for on this network (ONVIF), try each of "
        "them, and write the settings file; passwords are not shown, and nobody else can read the file. Where a folder "
        "`credentials` stands beside it, passwords are written into that.",
    )
    setup.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the file to write (default: the one that `run` would read, else edgeaudio.toml here)",
    )
    setup.examples = ("edgeaudio setup", "edgeaudio setup --config edgeaudio.toml")
    setup.set_defaults(command=_setup)


def _setup(options: argparse.Namespace) -> int:
    from edgeaudio.agent import run_dry
    from edgeaudio.commands import setup
    from edgeaudio.health.machine import bounded_memory

    with bounded_memory():
        return setup.setup(options.config, partial(run_dry, as_device=False))
