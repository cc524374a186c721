"""Options of `edgeaudio check`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgeaudio.commands.parser import add_settings, add_shard

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


def add_check(commands: Commands) -> None:
    """Add `check` to the command line."""
    check = commands.add_parser(
        "check",
        help="try settings, models, sources and broker, a line each",
        description="Read the settings, load the models, open every source, and do with the state directory and the "
        "broker what `run` does; say in a line each that it works, or why not and what to do. Beside a running agent "
        "nothing of it is touched. Exit status 0 if everything works, else 2.",
    )
    add_settings(check)
    add_shard(check)
    instead = check.add_mutually_exclusive_group()
    instead.add_argument(
        "--print",
        dest="print_settings",
        action="store_true",
        help="only print the settings in force, where each came from, secrets masked",
    )
    instead.add_argument(
        "--example", action="store_true", help="only print a settings file that explains every setting"
    )
    instead.add_argument("--schema", action="store_true", help="only print the JSON Schema of the settings")
    instead.add_argument(
        "--offline",
        action="store_true",
        help="only try settings, models and credentials: nothing is opened, asked or written",
    )
    check.examples = (
        "edgeaudio check --config edgeaudio.toml",
        "edgeaudio check --offline --config edgeaudio.toml",
        "edgeaudio check --example >edgeaudio.toml",
    )
    check.set_defaults(command=_check)


def _check(options: argparse.Namespace) -> int:
    from edgeaudio.commands import check

    if options.example:
        return check.print_example()
    if options.schema:
        return check.print_schema()
    if options.print_settings:
        return check.print_settings(options.config, options.options)
    from edgeaudio.agent import run_dry, run_dry_offline
    from edgeaudio.health.machine import bounded_memory

    with bounded_memory():
        if options.offline:
            return check.check(options.config, options.options, run_dry_offline, offline=True)
        return check.check(options.config, options.options, run_dry)
