"""Options of `edgeaudio collect`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgeaudio.commands.database_option import add_database
from edgeaudio.commands.number_types import whole
from edgeaudio.commands.parser import add_settings
from edgeaudio.settings.places import COLLECT_DATABASE_VARIABLE

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands

_DATABASE = "the PostgreSQL of the fleet"


def add_collect(commands: Commands) -> None:
    """Add `collect` to the command line."""
    collect = commands.add_parser(
        "collect",
        help="collect what a whole fleet reports into PostgreSQL",
        description="Receive detections, states and health of all agents on a broker of MQTT 5 and store them in "
        "PostgreSQL, until stopped by SIGTERM or Ctrl-C. A message is acknowledged when it is committed, and stored "
        "once however often it comes. Several processes of one group share the messages. Needs the extra `collect`.",
    )
    add_settings(collect)
    add_database(collect, _DATABASE, COLLECT_DATABASE_VARIABLE)
    collect.add_argument(
        "--group",
        type=group,
        default="edgeaudio-collect",
        metavar="NAME",
        help="of the shared subscription, the same in all processes of one database (default: edgeaudio-collect)",
    )
    collect.add_argument(
        "--no-sharing",
        action="store_true",
        help="receive everything, whatever other processes receive: two of them are spares of each other. For a broker "
        "that forgets shared subscriptions when it is started anew, as Mosquitto does",
    )
    collect.add_argument(
        "--consumers",
        type=whole(1, 16),
        default=1,
        metavar="N",
        help="connections to the broker that share the messages, 1 to 16 (default: 1)",
    )
    collect.add_argument(
        "--session-expiry",
        type=whole(600, 30 * 86_400),
        default=86_400,
        metavar="S",
        help="seconds for which the broker keeps what waits for a consumer that is away (default: 86400, a day)",
    )
    collect.add_argument(
        "--keep-months",
        type=whole(1, 1200),
        metavar="N",
        help="drop what is older than the last N months and this one (default: keep everything)",
    )
    collect.add_argument(
        "--listen",
        type=address,
        metavar="HOST:PORT",
        help="answer /health and /metrics there, to whoever asks (default: nowhere)",
    )
    collect.examples = (
        "edgeaudio collect --config edgeaudio.toml --database postgresql://db.local/edgeaudio",
        "edgeaudio collect --set mqtt.url=mqtt://broker.local --database @/run/secrets/database --consumers 2",
        "edgeaudio collect roll-up --database @/run/secrets/database --to /archive",
    )
    collect.set_defaults(command=_collect)
    _add_roll_up(collect.add_subparsers(title="actions", metavar="ACTION"))


def _add_roll_up(actions: Commands) -> None:
    command = actions.add_parser(
        "roll-up",
        help="write months that are over as Parquet files",
        description="Write the events of each month that has been over for a week to DIR/YYYY/events-YYYY-MM.parquet, "
        "unless the file has all of them. May run beside collectors, and again and again. Needs pyarrow too, which the "
        "extra `archive` brings.",
    )
    add_database(command, _DATABASE, COLLECT_DATABASE_VARIABLE, is_action=True)
    command.add_argument(
        "--to", required=True, type=Path, metavar="DIR", help="the folder; it is made if it is missing"
    )
    command.examples = ("edgeaudio collect roll-up --database @/run/secrets/database --to /archive",)
    command.set_defaults(command=_roll_up)


def group(text: str) -> str:
    """Parse the name of a group: a level of a topic, without wildcards."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise argparse.ArgumentTypeError("a group's name has up to 64 letters, digits, dots, hyphens and underscores")
    return text


def address(text: str) -> tuple[str, int]:
    """Parse HOST:PORT, with an IPv6 address in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536 or not host:
        raise argparse.ArgumentTypeError("is no HOST:PORT, as in 127.0.0.1:9465")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _collect(options: argparse.Namespace) -> int:
    from edgeaudio.commands.collect import collect

    return collect(options)


def _roll_up(options: argparse.Namespace) -> int:
    from edgeaudio.commands.collect import roll_up

    return roll_up(options)
