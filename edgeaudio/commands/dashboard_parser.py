"""Options of `edgeaudio dashboard`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgeaudio.commands.parser import add_settings

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


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
    dashboard.add_argument(
        "--hash-password",
        action="store_true",
        help="ask for a password, print its hash for dashboard.users.NAME.password, and end",
    )
    dashboard.examples = (
        "edgeaudio dashboard --config edgeaudio.toml",
        "edgeaudio dashboard --set mqtt.url=mqtt://broker.local --set dashboard.listen=127.0.0.1:8421",
        "edgeaudio dashboard --hash-password",
    )
    dashboard.set_defaults(command=_dashboard)


def _dashboard(options: argparse.Namespace) -> int:
    from edgeaudio.commands.dashboard import dashboard, print_password_hash

    if options.hash_password:
        return print_password_hash()
    return dashboard(options.config, options.options)
