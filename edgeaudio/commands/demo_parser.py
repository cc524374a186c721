"""Options of `edgeaudio demo`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


def add_demo(commands: Commands) -> None:
    """Add `demo` to the command line."""
    demo = commands.add_parser(
        "demo",
        help="hear it work: cameras, agent and broker on this machine",
        description="Push sounds over RTSP to a real agent, and show what a subscriber of a real broker receives. "
        "Exit status 0 if every sound that is played is detected, and nothing else is.",
    )
    demo.add_argument(
        "--broker",
        metavar="URL",
        help="another broker than the embedded one, as in mqtt://broker.local; a login is taken from "
        "EDGEAUDIO_MQTT__USERNAME and EDGEAUDIO_MQTT__PASSWORD",
    )
    demo.add_argument(
        "--dashboard",
        action="store_true",
        help="play over and over until Ctrl-C, and show it on the dashboard's page (extra `dashboard`)",
    )
    demo.examples = ("edgeaudio demo", "edgeaudio demo --dashboard", "edgeaudio demo --broker mqtt://broker.local")
    demo.set_defaults(command=_demo)


def _demo(options: argparse.Namespace) -> int:
    from edgeaudio.demo.demo import check_broker, run_demo

    check_broker(options.broker)
    if not options.dashboard:
        return run_demo(options.broker)

    from edgeaudio.demo.page import run_demo_page

    return run_demo_page(options.broker)
