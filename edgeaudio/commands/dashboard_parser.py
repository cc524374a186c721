"""Options of `edgeaudio dashboard`."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edgeaudio.commands.clips.times import moment
from edgeaudio.commands.database_option import add_database
from edgeaudio.commands.parser import add_settings
from edgeaudio.settings.places import FLEET_DATABASE_VARIABLE

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands

_DATABASE = "the PostgreSQL of the fleet, which `edgeaudio collect` fills, instead of a history of the dashboard's own"


def add_dashboard(commands: Commands) -> None:
    """Add `dashboard` to the command line."""
    dashboard = commands.add_parser(
        "dashboard",
        help="show all devices of a broker on a page, with history and metrics",
        description="Show the devices, sources and detections of all agents on a broker, on a page and as metrics for "
        "Prometheus (/metrics), until stopped by SIGTERM or Ctrl-C. Runs wherever the broker can be reached; needs the "
        "extra `dashboard`.",
    )
    add_settings(dashboard)
    add_database(dashboard, _DATABASE, FLEET_DATABASE_VARIABLE)
    dashboard.add_argument(
        "--hash-password",
        action="store_true",
        help="ask for a password, print its hash for dashboard.users.NAME.password, and end",
    )
    dashboard.examples = (
        "edgeaudio dashboard --config edgeaudio.toml",
        "edgeaudio dashboard --set mqtt.url=mqtt://broker.local --set dashboard.listen=127.0.0.1:8421",
        "edgeaudio dashboard --config edgeaudio.toml --database @/run/secrets/database",
        "edgeaudio dashboard --hash-password",
    )
    dashboard.set_defaults(command=_dashboard)
    actions = dashboard.add_subparsers(title="actions", metavar="ACTION")
    _add_export(actions)


def _add_export(actions: Commands) -> None:
    command = actions.add_parser(
        "export",
        help="write what people said about sounds to a folder, as a training set",
        description="Write the sounds that somebody marked on the page as right, wrong or another label to a new "
        "folder, in the layout that tools/train_model.py reads, with a record of each: label, reviewer, time, model "
        "and its hash. The dashboard may be running meanwhile.",
    )
    # what stands before `export` counts too: no default here may take its place
    command.add_argument("--config", type=Path, default=argparse.SUPPRESS, metavar="FILE", help="the settings file")
    command.add_argument(
        "--set",
        dest="more_options",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, as in --set dashboard.database=sounds.sqlite; may be repeated",
    )
    add_database(command, _DATABASE, FLEET_DATABASE_VARIABLE, is_action=True)
    command.add_argument("target", type=Path, metavar="DIR", help="the folder; it is made if it is missing")
    command.add_argument("--device", metavar="NAME", help="only of this device")
    command.add_argument("--source", metavar="NAME", help="only of this source")
    command.add_argument("--label", metavar="LABEL", help="only of this label, of the model or given by a reviewer")
    command.add_argument("--since", type=moment, metavar="TIME", help="only from then on, as 2026-11-30 (local)")
    command.add_argument("--until", type=moment, metavar="TIME", help="only before then")
    command.examples = (
        "edgeaudio dashboard export --config edgeaudio.toml reviewed",
        "edgeaudio dashboard export --label dog --since 2026-11-01 dogs",
    )
    command.set_defaults(command=_export)


def _dashboard(options: argparse.Namespace) -> int:
    from edgeaudio.commands.dashboard import dashboard, print_password_hash

    if options.hash_password:
        return print_password_hash()
    return dashboard(options.config, options.options, options.database)


def _export(options: argparse.Namespace) -> int:
    from edgeaudio.commands.dashboard_export import export
    from edgeaudio.dashboard.history import Filter
    from edgeaudio.settings import load_settings

    settings = load_settings(options.config, [*options.options, *options.more_options])
    return export(
        settings,
        options.target,
        Filter(
            device=options.device,
            source=options.source,
            label=options.label,
            from_ms=_ms(options.since),
            until_ms=_ms(options.until),
        ),
        options.database,
    )


def _ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)
