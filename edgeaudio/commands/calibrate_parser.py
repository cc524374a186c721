"""Options of `edgeaudio calibrate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgeaudio.commands.number_types import number
from edgeaudio.commands.parser import add_settings

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands

DEFAULT_PER_DAY = 0.5
DEFAULT_MINUTES = 60.0


def add_calibrate(commands: Commands) -> None:
    """Add `calibrate` to the command line."""
    calibrate = commands.add_parser(
        "calibrate",
        help="find thresholds for a site, from an hour of its own quiet",
        description="Hear an hour or more of a site's sound in which nothing is to be reported, and print for each "
        "label the lowest threshold that gives few false alarms there: as a table, and as settings.",
    )
    calibrate.add_argument(
        "sources",
        nargs="+",
        metavar="RECORDING",
        help="a file; or, heard for a while: the name of a source in the settings, alsa:DEVICE, a URL without a login",
    )
    add_settings(calibrate)
    calibrate.add_argument(
        "--source",
        metavar="NAME",
        help="the source of the settings whose models and thresholds these are (default: the one that is heard; "
        "without one the models' own, for every source)",
    )
    calibrate.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="DIR",
        help="a model directory, or a bundled or added model's name; may be repeated (default: those of the settings)",
    )
    calibrate.add_argument(
        "--false-alarms",
        type=number(0.01, 1000),
        default=DEFAULT_PER_DAY,
        metavar="N",
        help=f"how many a day each label may have, about (default: {DEFAULT_PER_DAY:g})",
    )
    calibrate.add_argument(
        "--minutes",
        type=number(10, 1440),
        default=DEFAULT_MINUTES,
        metavar="M",
        help=f"how long a live source is heard (default: {DEFAULT_MINUTES:g})",
    )
    calibrate.add_argument(
        "--all",
        action="store_true",
        help="count sounds that may be real as false alarms, too, and raise labels that warn of danger",
    )
    calibrate.add_argument("--lower", action="store_true", help="lower thresholds, too, by half at most")
    calibrate.add_argument("-o", "--out", type=Path, metavar="OUT", help="a file to write the settings to")
    calibrate.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    calibrate.examples = (
        "edgeaudio calibrate quiet-evening.flac",
        "edgeaudio calibrate --config edgeaudio.toml --source porch night-1.opus night-2.opus",
        "edgeaudio calibrate --config edgeaudio.toml --minutes 120 -o porch.toml porch",
    )
    calibrate.set_defaults(command=_calibrate)


def _calibrate(options: argparse.Namespace) -> int:
    from edgeaudio.commands import calibrate
    from edgeaudio.health.machine import bounded_memory

    with bounded_memory():
        return calibrate.calibrate(
            options.sources,
            options.config,
            options.options,
            calibrate.Request(
                models=options.model,
                source=options.source,
                per_day=options.false_alarms,
                live_s=60 * options.minutes,
                every=options.all,
                lower=options.lower,
                out=options.out,
                overwrite=options.overwrite,
            ),
        )
