"""Options of `edgeaudio run`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgeaudio.commands.parser import add_settings, add_shard

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


def add_run(commands: Commands) -> None:
    """Add `run` to the command line."""
    run = commands.add_parser(
        "run",
        help="listen to every source and report to the broker, until stopped",
        description="Listen to every source and report to the broker, until stopped by SIGTERM or Ctrl-C.",
    )
    add_settings(run)
    add_shard(run)
    run.examples = (
        "edgeaudio run --config edgeaudio.toml",
        "edgeaudio run --set sources.desk.url=alsa:default --set mqtt.url=mqtt://broker.local",
    )
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from edgeaudio.commands.run import run

    return run(options.config, options.options)
