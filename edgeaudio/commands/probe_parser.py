"""Options of `edgeaudio probe`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgeaudio.commands.number_types import number
from edgeaudio.commands.parser import add_settings, add_source

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


def add_probe(commands: Commands) -> None:
    """Add `probe` to the command line."""
    probe = commands.add_parser(
        "probe",
        help="show what a stream, file or sound card holds",
        description="Open a source and show its tracks, codec, sample rate, channels and level, and a picture of its "
        "spectrum.",
    )
    add_source(probe)
    add_settings(probe)
    probe.add_argument(
        "--seconds",
        type=number(0.5, 60),
        metavar="S",
        help="how long to listen, 0.5 to 60 (default: 5, and to all of a recording)",
    )
    probe.add_argument("--json", action="store_true", help="print one JSON object instead")
    probe.examples = (
        "edgeaudio probe recording.flac",
        "edgeaudio probe --config edgeaudio.toml porch --seconds 10",
        "edgeaudio probe alsa:default",
    )
    probe.set_defaults(command=_probe)


def _probe(options: argparse.Namespace) -> int:
    from edgeaudio.commands import probe
    from edgeaudio.health.machine import bounded_memory

    with bounded_memory():
        return probe.probe(options.source, options.config, options.options, options.seconds, as_json=options.json)
